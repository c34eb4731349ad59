"""What is counted while events are decided again?

A tally holds sums only, so tallies of parts add up to that of the whole; memory does not grow with
the number of events. Invariant: every event is counted once in every table of its kind.

Tables are lists of 48 sums: `12 * baseline + 3 * candidate + label`, where outcomes are their
severity and a label is 0 not known, 1 honest, 2 abuse.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple, TypeVar

from rules.decision import HitStatus
from service.backtest.case import ABUSE, HONEST, Case
from service.backtest.compared import Side, Verdict

CELLS = 48
LABEL_PLACES = {None: 0, HONEST: 1, ABUSE: 2}
HOUR_MS = 3_600_000
# Distinct combinations of hits held before they are added up: about 1 KB each.
MOST_OPEN = 20_000
# Values of one segment that are told apart; what comes later is counted together.
MOST_VALUES = 200
OTHERS = "(others)"
EXAMPLES = 20
# Rules that hit one event together are counted in pairs; an event that more rules hit says little.
MOST_PAIRED = 40


class ExampleEvent(NamedTuple):
    """An event as an example: where to find it and what was decided. No fact of it is kept.

    `weight` orders examples, the worst greatest: severity of the change, then money.
    """

    weight: tuple[int, int, str]
    name: str
    event_type: str
    observed_ms: int
    amount: int | None
    baseline: str
    candidate: str
    rules: tuple[str, ...]


@dataclass(slots=True)
class RuleTally:
    """What one rule did on one side; lists are by label place."""

    hits: list[int] = field(default_factory=lambda: [0, 0, 0])
    decisive: list[int] = field(default_factory=lambda: [0, 0, 0])
    amount: int = 0
    decisive_amount: int = 0
    unknown: int = 0
    error: int = 0

    def add(self, other: RuleTally) -> None:
        for place in range(3):
            self.hits[place] += other.hits[place]
            self.decisive[place] += other.decisive[place]
        self.amount += other.amount
        self.decisive_amount += other.decisive_amount
        self.unknown += other.unknown
        self.error += other.error


@dataclass(slots=True)
class SideTally:
    """What the rules of one side did. `pairs`: events that two rules hit together."""

    rules: dict[str, RuleTally] = field(default_factory=dict)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: SideTally) -> None:
        for name, rule in other.rules.items():
            self.rules.setdefault(name, RuleTally()).add(rule)
        self.pairs.update(other.pairs)

    def count(self, side: Side, counts: list[int], amounts: list[int]) -> None:
        """Count events that all had this decision; by label place."""
        hits = []
        for hit in side.decision.hits:
            rule = self.rules.setdefault(hit.rule_id, RuleTally())
            if hit.status is HitStatus.UNKNOWN:
                rule.unknown += sum(counts)
            elif hit.status is HitStatus.ERROR:
                rule.error += sum(counts)
            else:
                hits.append(hit.rule_id)
                rule.amount += sum(amounts)
                for place in range(3):
                    rule.hits[place] += counts[place]
                if hit.rule_id in side.decisive:
                    rule.decisive_amount += sum(amounts)
                    for place in range(3):
                        rule.decisive[place] += counts[place]
        if 1 < len(hits) <= MOST_PAIRED:
            for pair in combinations(hits, 2):
                self.pairs[pair] += sum(counts)


Table = list[int]
Key = TypeVar("Key")


class Tally:
    """The sums of one part of a backtest; `add` case by case, `merge` part by part."""

    def __init__(self, segments: Iterable[str] = ()) -> None:
        self.events = 0
        self.without_score = 0
        self.gaps: Counter[str] = Counter()
        self.counts: dict[str, Table] = {}
        self.amounts: dict[str, Table] = {}
        self.candidate = SideTally()
        self.baseline = SideTally()
        self.segments: dict[str, dict[str, Table]] = {name: {} for name in segments}
        self.hours: dict[int, Table] = {}
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.replayed = 0
        self.replayed_equal = 0
        self.false_alarms: list[ExampleEvent] = []
        self.let_through: list[ExampleEvent] = []
        self.stricter: list[ExampleEvent] = []
        self.milder: list[ExampleEvent] = []
        self._open: dict[Verdict, list[int]] = {}

    def add(self, case: Case, verdict: Verdict) -> None:
        """Count a case and what both sides decide about it."""
        self.events += 1
        label = LABEL_PLACES[case.label]
        sums = self._open.get(verdict)
        if sums is None:
            if len(self._open) >= MOST_OPEN:
                self.fold()
            sums = self._open[verdict] = [0, 0, 0, 0, 0, 0]
        sums[label] += 1
        if case.amount:
            sums[3 + label] += case.amount
        if case.score is None:
            self.without_score += 1
        if case.gaps:
            self.gaps.update(case.gaps)
        cell = 3 * verdict.place + label
        at_ms = case.observed_ms
        hour = self.hours.get(at_ms // HOUR_MS)
        if hour is None:
            hour = self.hours[at_ms // HOUR_MS] = [0] * CELLS
        hour[cell] += 1
        if self.first_ms is None or at_ms < self.first_ms:
            self.first_ms = at_ms
        if self.last_ms is None or at_ms > self.last_ms:
            self.last_ms = at_ms
        facts = case.facts
        for name, table in self.segments.items():
            value = facts.get(name)
            if value is not None:
                row = table.get(str(value))
                (row if row is not None else _fresh(table, str(value)))[cell] += 1
        baseline, candidate = divmod(verdict.place, 4)
        if baseline != candidate:
            self._note_example(case, verdict, candidate - baseline)

    def note_replay(self, *, is_equal: bool) -> None:
        """Count a recorded decision of the baseline that was computed again."""
        self.replayed += 1
        self.replayed_equal += is_equal

    def fold(self) -> None:
        """Add up what is open; call it before the sums are read."""
        for verdict, sums in self._open.items():
            counts = self.counts.setdefault(verdict.event_type, [0] * CELLS)
            amounts = self.amounts.setdefault(verdict.event_type, [0] * CELLS)
            for label in range(3):
                counts[3 * verdict.place + label] += sums[label]
                amounts[3 * verdict.place + label] += sums[3 + label]
            self.baseline.count(verdict.baseline, sums[:3], sums[3:])
            self.candidate.count(verdict.candidate, sums[:3], sums[3:])
        self._open.clear()

    def merge(self, other: Tally) -> None:
        """Add the sums of another part."""
        self.fold()
        other.fold()
        self.events += other.events
        self.without_score += other.without_score
        self.gaps.update(other.gaps)
        _add_tables(self.counts, other.counts)
        _add_tables(self.amounts, other.amounts)
        self.candidate.add(other.candidate)
        self.baseline.add(other.baseline)
        for name, tables in other.segments.items():
            _add_tables(self.segments.setdefault(name, {}), tables)
        _add_tables(self.hours, other.hours)
        self.first_ms = _either(min, self.first_ms, other.first_ms)
        self.last_ms = _either(max, self.last_ms, other.last_ms)
        self.replayed += other.replayed
        self.replayed_equal += other.replayed_equal
        for name in ("false_alarms", "let_through", "stricter", "milder"):
            both = [*getattr(self, name), *getattr(other, name)]
            setattr(self, name, heapq.nlargest(EXAMPLES, both))

    def _note_example(self, case: Case, verdict: Verdict, change: int) -> None:
        heap = self._heap(case.label, change)
        if heap is None:
            return
        side = verdict.candidate if change > 0 else verdict.baseline
        weight = (abs(change), case.amount or 0, case.name)
        if len(heap) >= EXAMPLES and weight <= heap[0].weight:
            return
        example = ExampleEvent(
            weight,
            case.name,
            case.event_type,
            case.observed_ms,
            case.amount,
            verdict.baseline.decision.outcome.value,
            verdict.candidate.decision.outcome.value,
            side.decision.decided_by,
        )
        (heapq.heappushpop if len(heap) >= EXAMPLES else heapq.heappush)(heap, example)

    def _heap(self, label: int | None, change: int) -> list[ExampleEvent] | None:
        """Return where an example belongs; None for changes that are right by their label."""
        if change > 0:
            return {None: self.stricter, HONEST: self.false_alarms}.get(label)
        return {None: self.milder, ABUSE: self.let_through}.get(label)


def _fresh(table: dict[str, Table], value: str) -> Table:
    name = value if len(table) < MOST_VALUES else OTHERS
    return table.setdefault(name, [0] * CELLS)


def _add_tables(ours: dict[Key, Table], theirs: Mapping[Key, Table]) -> None:
    for name, table in theirs.items():
        mine = ours.get(name)
        ours[name] = (
            list(table) if mine is None else [a + b for a, b in zip(mine, table, strict=True)]
        )


def _either(choose: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)
