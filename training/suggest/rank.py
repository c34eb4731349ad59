"""Which candidates are worth a rule, and how good are they on events that nobody mined?

Chosen, shortened and freed of repetitions on the earlier events; measured and ranked on the later
ones, and freed there of what the live rules say already. Invariant: nothing that is reported of a
candidate was counted on events that it was mined from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.evidence.intervals import wilson
from training.suggest.conditions import Conjunction, Mask
from training.suggest.table import Table

# A condition that costs less precision than this says nothing.
_WORTH = 0.005
# Candidates to look at on the later events: each look is a chance to be lucky.
MOST_MEASURED = 40


@dataclass(frozen=True, slots=True)
class Figures:
    """How a rule does on labelled events."""

    hits: int
    caught: int
    abusive: int
    events: int

    @classmethod
    def of(cls, hit: Mask, is_abusive: Mask) -> Figures:
        """Count."""
        return cls(
            int(hit.sum()), int((hit & is_abusive).sum()), int(is_abusive.sum()), len(is_abusive)
        )

    @property
    def precision(self) -> float:
        """Which share of its hits is abuse; 0 where it never hits."""
        return self.caught / self.hits if self.hits else 0.0

    @property
    def precision_interval(self) -> tuple[float, float]:
        """95 % (Wilson)."""
        return wilson(self.caught, self.hits)

    @property
    def recall(self) -> float:
        """Which share of abuse it hits."""
        return self.caught / self.abusive if self.abusive else 0.0

    @property
    def false_alarms(self) -> int:
        """How many honest events it hits."""
        return self.hits - self.caught

    @property
    def honest(self) -> int:
        """How many events are honest."""
        return self.events - self.abusive

    def describe(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        low, high = self.precision_interval
        return {
            "events": self.events,
            "abusive": self.abusive,
            "hits": self.hits,
            "caught": self.caught,
            "false_alarms": self.false_alarms,
            "precision": round(self.precision, 4),
            "precision_low": round(low, 4),
            "precision_high": round(high, 4),
            "recall": round(self.recall, 4),
        }


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A conjunction and how it did. `adds`: later abuse that it hits and no live rule does."""

    conjunction: Conjunction
    earlier: Figures
    later: Figures
    nearest: str
    overlap: float
    adds: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a suggestion must reach."""

    min_recall: float = 0.05
    min_precision: float = 0.0
    most: int = 10
    most_overlap: float = 0.7


@dataclass(frozen=True, slots=True)
class Ranked:
    """The suggestions, the best first, and what became of the other candidates."""

    suggestions: tuple[Suggestion, ...]
    mined: int
    measured: int
    too_weak: int
    known_already: Mapping[str, int]


def rank(candidates: Iterable[Conjunction], earlier: Table, later: Table, wanted: Wanted) -> Ranked:
    """Return the suggestions by the precision that they have at least (95 %) on later events."""
    mined = set(candidates)
    chosen = _distinct(_worthy(mined, earlier, wanted), earlier, wanted.most_overlap)
    caught_already = np.zeros(later.rows, dtype=np.bool_)
    for hit in later.live_hits.values():
        caught_already |= hit
    suggestions: list[Suggestion] = []
    too_weak = 0
    known: dict[str, int] = {}
    for conjunction in chosen:
        hit = later.holds(conjunction)
        figures = Figures.of(hit, later.is_abusive)
        is_rich = figures.precision * later.rows > 2 * figures.abusive
        if figures.recall < wanted.min_recall or not is_rich:
            too_weak += 1
            continue
        if figures.precision < wanted.min_precision:
            too_weak += 1
            continue
        nearest, overlap = _nearest(hit, later.live_hits)
        if overlap >= wanted.most_overlap:
            known[nearest] = known.get(nearest, 0) + 1
            continue
        adds = int((hit & later.is_abusive & ~caught_already).sum())
        before = Figures.of(earlier.holds(conjunction), earlier.is_abusive)
        suggestions.append(Suggestion(conjunction, before, figures, nearest, overlap, adds))
    suggestions.sort(key=lambda one: (-one.later.precision_interval[0], one.conjunction))
    return Ranked(tuple(suggestions[: wanted.most]), len(mined), len(chosen), too_weak, known)


def _worthy(mined: Iterable[Conjunction], earlier: Table, wanted: Wanted) -> list[Conjunction]:
    """Return candidates that catch enough, shortened, the most precise first."""
    found: dict[Conjunction, Figures] = {}
    for conjunction in sorted(mined):
        short = _shortened(conjunction, earlier)
        if short not in found:
            found[short] = Figures.of(earlier.holds(short), earlier.is_abusive)
    rich = [one for one, figures in found.items() if figures.recall >= wanted.min_recall]
    return sorted(rich, key=lambda one: (-found[one].precision_interval[0], one))


def _shortened(conjunction: Conjunction, earlier: Table) -> Conjunction:
    """Return the conjunction without the conditions that make it no more precise."""
    precision = Figures.of(earlier.holds(conjunction), earlier.is_abusive).precision
    for condition in conjunction.conditions:
        if len(conjunction.conditions) == 1:
            break
        shorter = conjunction.without(condition)
        found = Figures.of(earlier.holds(shorter), earlier.is_abusive).precision
        if found >= precision - _WORTH:
            conjunction, precision = shorter, max(found, precision)
    return conjunction


def _distinct(ordered: Iterable[Conjunction], earlier: Table, most: float) -> list[Conjunction]:
    """Return those that hit other events than each that comes before."""
    kept: list[tuple[Conjunction, Mask]] = []
    for conjunction in ordered:
        hit = earlier.holds(conjunction)
        if all(jaccard(hit, other) < most for _, other in kept):
            kept.append((conjunction, hit))
        if len(kept) == MOST_MEASURED:
            break
    return [conjunction for conjunction, _ in kept]


def _nearest(hit: Mask, live_hits: Mapping[str, Mask]) -> tuple[str, float]:
    """Return the live rule that hits the most alike, and how much so."""
    by = {rule: jaccard(hit, other) for rule, other in live_hits.items()}
    name = max(sorted(by), key=lambda rule: by[rule], default="")
    return (name, by[name]) if name and by[name] > 0 else ("", 0.0)


def jaccard(one: Mask, other: Mask) -> float:
    """Return which share of the events that either hits is hit by both.

    >>> jaccard(np.array([True, True, False]), np.array([True, False, False]))
    0.5
    """
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 0.0
