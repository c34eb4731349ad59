"""How do two groups of decisions differ, and how sure is that?

Decisions of one subject are alike: a shopper who is declined tries again. So an interval is widened
by the design effect (Kish, Survey Sampling, 1965): how much more the shares vary between subjects
than they would if every decision stood for itself. Invariant: pure; memory grows with the subjects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import sqrt

from rules.decision import Outcome
from service.evidence.intervals import difference
from service.evidence.rollout_report import Difference, Group
from service.evidence.shares import Share

OUTCOMES = tuple(outcome.value for outcome in Outcome)
_APPROVE, _DECLINE = OUTCOMES.index("approve"), OUTCOMES.index("decline")
MEASURES = {"declined": "decline", "reviewed": "review", "challenged": "challenge"}
# A share of subjects off by more than this many standard errors happens once in 1,000 rollouts.
UNEXPECTED = 3.29
MOST_RULES = 500


class Decided:
    """The decisions of one group and event type."""

    def __init__(self) -> None:
        self.by_outcome = [0] * len(OUTCOMES)
        self.amounts = [0] * len(OUTCOMES)
        self.abusive = [0] * len(OUTCOMES)
        self.honest = [0] * len(OUTCOMES)
        self.subjects: dict[str, list[int]] = {}
        self.rules: dict[str, int] = {}

    def add(
        self,
        subject: str,
        outcome: str,
        amount: int | None,
        label: int | None,
        rules: Iterable[str],
    ) -> None:
        """Count a decision; `label` 1 abusive, 0 honest, None unknown."""
        place = OUTCOMES.index(outcome)
        self.by_outcome[place] += 1
        self.amounts[place] += amount or 0
        if label is not None:
            (self.abusive if label else self.honest)[place] += 1
        counts = self.subjects.get(subject)
        if counts is None:
            counts = self.subjects[subject] = [0] * len(OUTCOMES)
        counts[place] += 1
        for rule in rules:
            self.rules[rule] = self.rules.get(rule, 0) + 1

    def take(self, other: Decided) -> None:
        """Add what another counted."""
        for mine, theirs in (
            (self.by_outcome, other.by_outcome),
            (self.amounts, other.amounts),
            (self.abusive, other.abusive),
            (self.honest, other.honest),
        ):
            _add(mine, theirs)
        for subject, counts in other.subjects.items():
            _add(self.subjects.setdefault(subject, [0] * len(OUTCOMES)), counts)
        for rule, count in other.rules.items():
            self.rules[rule] = self.rules.get(rule, 0) + count

    @property
    def decisions(self) -> int:
        """How many decisions there are."""
        return sum(self.by_outcome)

    def group(self) -> Group:
        """Return the figures of this side."""
        return Group(
            decisions=self.decisions,
            subjects=len(self.subjects),
            labelled=sum(self.abusive) + sum(self.honest),
            outcomes=dict(zip(OUTCOMES, self.by_outcome, strict=True)),
            amounts=dict(zip(OUTCOMES, self.amounts, strict=True)),
        )

    def design_effect(self, outcome: str) -> float:
        """Return how much wider than binomial the share of an outcome varies; at least 1."""
        place = OUTCOMES.index(outcome)
        return design_effect([(sum(one), one[place]) for one in self.subjects.values()])


def design_effect(clusters: Collection[tuple[int, int]]) -> float:
    """Return the design effect of a share over clusters of (things, those that count).

    >>> design_effect([(1, 0), (1, 1), (1, 0), (1, 1)])
    1.0
    >>> round(design_effect([(2, 0), (2, 2)] * 20), 2)  # pairs that are alike count as one
    2.05
    """
    things, found = sum(n for n, _ in clusters), sum(x for _, x in clusters)
    if len(clusters) < 2 or not 0 < found < things:
        return 1.0
    share = found / things
    spread = sum((x - share * n) ** 2 for n, x in clusters)
    between = spread * len(clusters) / (len(clusters) - 1) / things**2
    alone = share * (1 - share) / things
    # Clusters of one vary by 1/(n-1) more in this estimate, which is no effect of the design.
    if all(n == 1 for n, _ in clusters):
        return 1.0
    return max(1.0, between / alone)


def differences(candidate: Decided, live: Decided) -> list[Difference]:
    """Return every measure in both groups, those of the rules last, the clear ones first."""
    found = []
    for measure, outcome in MEASURES.items():
        place = OUTCOMES.index(outcome)
        found.append(
            _difference(
                measure,
                (candidate.by_outcome[place], candidate.decisions),
                (live.by_outcome[place], live.decisions),
                (candidate.design_effect(outcome), live.design_effect(outcome)),
            )
        )
    for measure, place in (("abusive_of_declined", _DECLINE), ("abusive_of_approved", _APPROVE)):
        counts = [
            (side.abusive[place], side.abusive[place] + side.honest[place])
            for side in (candidate, live)
        ]
        found.append(_difference(measure, counts[0], counts[1]))
    rules = [
        _difference(
            f"rule:{rule}",
            (candidate.rules.get(rule, 0), candidate.decisions),
            (live.rules.get(rule, 0), live.decisions),
        )
        for rule in sorted(candidate.rules.keys() | live.rules.keys())
    ]
    rules.sort(key=lambda one: (not one.is_clear, -abs(one.difference or 0.0)))
    return found + rules[:MOST_RULES]


def is_share_expected(candidate: int, live: int, share: float) -> bool:
    """Say whether so many subjects in both groups fit the share that was asked for.

    >>> is_share_expected(480, 9520, 0.05), is_share_expected(400, 9600, 0.05)
    (True, False)
    """
    every = candidate + live
    error = sqrt(share * (1 - share) * every)
    return abs(candidate - share * every) <= UNEXPECTED * error


def _difference(
    measure: str,
    candidate: tuple[int, int],
    live: tuple[int, int],
    effects: tuple[float, float] = (1.0, 1.0),
) -> Difference:
    low, high = difference(*_effective(candidate, effects[0]), *_effective(live, effects[1]))
    shares = [Share.counted(*candidate), Share.counted(*live)]
    first, second = shares[0].share, shares[1].share
    return Difference(
        measure=measure,
        candidate=shares[0],
        live=shares[1],
        difference=None if first is None or second is None else first - second,
        low=low,
        high=high,
        is_clear=low > 0 or high < 0,
    )


def _effective(counts: tuple[int, int], effect: float) -> tuple[int, int]:
    """Return the counts of a sample without clusters that says as much."""
    found, things = counts
    if effect <= 1.0 or not things:
        return counts
    fewer = max(1, round(things / effect))
    return round(found * fewer / things), fewer


def _add(counts: list[int], more: Iterable[int]) -> None:
    for place, count in enumerate(more):
        counts[place] += count


def total(parts: Mapping[str, Decided]) -> Decided:
    """Return the decisions of every event type together."""
    every = Decided()
    for part in parts.values():
        every.take(part)
    return every
