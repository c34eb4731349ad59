"""Which values of a rule's parameters catch the most for the fewest false alarms?

Every variant of the rule is evaluated on every labelled event of its types. Invariant: the value
that is recommended is chosen on earlier events and reported on later ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rules.cel import Language
from rules.decision import HitStatus
from rules.engine import Engine
from rules.errors import RuleSetInvalid
from rules.limits import MAX_COST_OF_EVENT_TYPE
from rules.rule import Rule
from rules.ruleset import RuleSet
from service.backtest.case import ABUSE, Case
from training.suggest.past import NothingToLearn
from training.suggest.presence import with_parts
from training.suggest.rank import Figures
from training.suggest.variants import Variant

_LEAST_ABUSIVE = 5
# Fewer hits say nothing of a precision: 10 of 10 may be 72 %.
_LEAST_HITS = 10


@dataclass(frozen=True, slots=True)
class Point:
    """One variant, and how it does."""

    variant: Variant
    earlier: Figures
    later: Figures


@dataclass(frozen=True, slots=True)
class Tuned:
    """All points, the current one first. `recommended` may be the current one."""

    points: tuple[Point, ...]
    recommended: Point

    @property
    def current(self) -> Point:
        """The rule as it is."""
        return self.points[0]

    def curve(self) -> list[Point]:
        """Return the points that no other beats in both precision and recall, by later recall."""
        best: list[Point] = []
        ordered = sorted(self.points, key=lambda one: (-one.later.recall, -one.later.precision))
        for point in ordered:
            if not best or point.later.precision > best[-1].later.precision:
                best.append(point)
        return best


@dataclass(slots=True)
class Trial:
    """Collects what each variant says of each case."""

    variants: Sequence[Variant]
    fact_types: Mapping[str, str]
    _engines: list[tuple[Engine, Mapping[str, int]]] = field(init=False)
    _hits: list[list[int]] = field(init=False)
    _labels: list[bool] = field(default_factory=list)
    _times: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Compile all variants; raise `RuleSetInvalid` for one that is too much."""
        self._engines = list(_engines(self.variants, self.fact_types))
        self._hits = [[] for _ in self.variants]

    def add(self, cases: Iterable[Case]) -> None:
        """Take the labelled cases of the rule's event types."""
        types = {kind for rule in self.variants[0].rules for kind in rule.event_types}
        for case in cases:
            if case.label is None or case.event_type not in types:
                continue
            facts = with_parts(case.facts, self.fact_types)
            hits = set()
            for engine, places in self._engines:
                for hit in engine.evaluate(case.event_type, facts):
                    if hit.status is HitStatus.HIT:
                        hits.add(places[hit.rule_id])
            for place in hits:
                self._hits[place].append(len(self._labels))
            self._labels.append(case.label == ABUSE)
            self._times.append(case.observed_ms)

    def result(
        self, later_share: float, min_recall: float | None, min_precision: float | None
    ) -> Tuned:
        """Return the figures of every variant. Raises `NothingToLearn`."""
        times = np.array(self._times, dtype=np.int64)
        order = np.argsort(times, kind="stable")
        abusive = np.array(self._labels, dtype=np.bool_)[order]
        at = min(round(len(order) * (1 - later_share)), len(order))
        if at < len(order):
            at = int(np.searchsorted(times[order], times[order][at]))
        if min(abusive[:at].sum(), abusive[at:].sum()) < _LEAST_ABUSIVE:
            raise NothingToLearn(
                f"the rule's types have {abusive[:at].sum()} abusive events with a label before"
                f" and {abusive[at:].sum()} after the split; {_LEAST_ABUSIVE} of each are needed"
            )
        points = []
        for variant, places in zip(self.variants, self._hits, strict=True):
            hit = np.zeros(len(order), dtype=np.bool_)
            hit[places] = True
            hit = hit[order]
            points.append(
                Point(
                    variant, Figures.of(hit[:at], abusive[:at]), Figures.of(hit[at:], abusive[at:])
                )
            )
        return Tuned(tuple(points), _recommended(points, min_recall, min_precision))


def _recommended(
    points: Sequence[Point], min_recall: float | None, min_precision: float | None
) -> Point:
    """Choose on the earlier events.

    With a least precision: what catches the most and reaches it. Else the most precise of what
    catches `min_recall`, or what the current values catch. If nothing does, or hardly ever hits,
    the current values.
    """
    current = points[0]
    points = [one for one in points if one.earlier.hits >= _LEAST_HITS]
    if min_precision is not None:
        reach = [one for one in points if one.earlier.precision >= min_precision]
        if min_recall is not None:
            reach = [one for one in reach if one.earlier.recall >= min_recall]
        return max(
            reach, key=lambda one: (one.earlier.recall, one.earlier.precision), default=current
        )
    least = current.earlier.recall if min_recall is None else min_recall
    reach = [one for one in points if one.earlier.recall >= least]
    return max(
        reach,
        key=lambda one: (one.earlier.precision_interval[0], one is current),
        default=current,
    )


def _engines(
    variants: Sequence[Variant], fact_types: Mapping[str, str]
) -> Iterable[tuple[Engine, dict[str, int]]]:
    """Yield engines of as many variants as one may hold; rule id -> the variant's place."""
    language = Language(fact_types)
    rules: list[Rule] = []
    places: dict[str, int] = {}
    steps = 0
    for place, variant in enumerate(variants):
        for number, rule in enumerate(variant.rules):
            named = replace(rule, id=f"v-{place}-{number}", mode="live", valid_from=None,
                            valid_until=None)  # fmt: skip
            _, work, problems = language.compile_counted(named.when)
            if problems:
                raise RuleSetInvalid(
                    [rule.diagnose((p.line, p.column), p.code, p.message, p.hint) for p in problems]
                )
            if rules and steps + work.steps > MAX_COST_OF_EVENT_TYPE:
                yield Engine(RuleSet.of(rules), fact_types), places
                rules, places, steps = [], {}, 0
            rules.append(named)
            places[named.id] = place
            steps += work.steps
    yield Engine(RuleSet.of(rules), fact_types), places
