"""What came of the events that were decided again?

Counts by set, hour, type and outcomes, added to those in the database. Invariant: what was counted
is added once; with PostgreSQL away it is kept, and its size does not grow with the traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple

from rules.decision import Decision, HitStatus

HOUR_MS = 3_600_000
# Decisions to look at, of each cell.
EXAMPLES = 10

_RUNS = """
INSERT INTO shadow_run AS t (version, hour, evaluated, failed, dropped) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (version, hour) DO UPDATE SET
    evaluated = t.evaluated + excluded.evaluated,
    failed = t.failed + excluded.failed,
    dropped = t.dropped + excluded.dropped
"""
_CELLS = """
INSERT INTO shadow_tally AS t (version, baseline, hour, event_type, live_outcome, shadow_outcome,
    decisions, amount, examples) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (version, baseline, hour, event_type, live_outcome, shadow_outcome) DO UPDATE SET
    decisions = t.decisions + excluded.decisions,
    amount = t.amount + excluded.amount,
    examples = (t.examples || excluded.examples)[1:10]
"""
_RULES = """
INSERT INTO shadow_rule_tally AS t (version, baseline, hour, event_type, rule_id,
    live_hits, shadow_hits, both_hits, changed, unknown)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (version, baseline, hour, event_type, rule_id) DO UPDATE SET
    live_hits = t.live_hits + excluded.live_hits,
    shadow_hits = t.shadow_hits + excluded.shadow_hits,
    both_hits = t.both_hits + excluded.both_hits,
    changed = t.changed + excluded.changed,
    unknown = t.unknown + excluded.unknown
"""


class Live(NamedTuple):
    """A decision as it was made: by which version, with which outcome and rules that hit."""

    entry_id: bytes
    at_ms: int
    event_type: str
    baseline: str
    outcome: str
    hits: frozenset[str]
    amount: int | None


class Tally:
    """Counts since the last flush."""

    def __init__(self) -> None:
        self._counts = _Counts()

    def add(self, version: str, live: Live, decision: Decision) -> None:
        """Count what a set would have decided."""
        hour = live.at_ms // HOUR_MS
        self._counts.run(version, hour)[0] += 1
        outcome = decision.outcome.value
        self._counts.cell(
            (version, live.baseline, hour, live.event_type, live.outcome, outcome)
        ).add(1, live.amount or 0, [live.entry_id])
        hits = {hit.rule_id for hit in decision.hits if hit.status is HitStatus.HIT}
        unknown = {hit.rule_id for hit in decision.hits if hit.status is not HitStatus.HIT}
        for rule_id in hits | unknown | live.hits:
            counts = self._counts.rule((version, live.baseline, hour, live.event_type, rule_id))
            in_live, in_shadow = rule_id in live.hits, rule_id in hits
            counts[0] += in_live
            counts[1] += in_shadow
            counts[2] += in_live and in_shadow
            counts[3] += in_shadow and outcome != live.outcome
            counts[4] += rule_id in unknown

    def add_failed(self, version: str, at_ms: int) -> None:
        """Count an event that could not be decided again."""
        self._counts.run(version, at_ms // HOUR_MS)[1] += 1

    def add_dropped(self, versions: Iterable[str], count: int, at_ms: int) -> None:
        """Count events that nobody looked at."""
        for version in versions:
            self._counts.run(version, at_ms // HOUR_MS)[2] += count

    async def flush(self, connection: Any) -> None:
        """Add the counts to those in the database, and begin anew; all or nothing."""
        taken, self._counts = self._counts, _Counts()
        if not taken.runs:
            return
        try:
            async with connection.transaction():
                for statement, rows in taken.rows():
                    await connection.executemany(statement, rows)
        except BaseException:
            self._counts.take(taken)
            raise


class _Counts:
    """What was counted, by the keys of the tables."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, int], list[int]] = {}
        self.cells: dict[tuple[str, str, int, str, str, str], _Cell] = {}
        self.rules: dict[tuple[str, str, int, str, str], list[int]] = {}

    def run(self, version: str, hour: int) -> list[int]:
        return self.runs.setdefault((version, hour), [0, 0, 0])

    def cell(self, key: tuple[str, str, int, str, str, str]) -> _Cell:
        found = self.cells.get(key)
        if found is None:
            found = self.cells[key] = _Cell()
        return found

    def rule(self, key: tuple[str, str, int, str, str]) -> list[int]:
        return self.rules.setdefault(key, [0, 0, 0, 0, 0])

    def take(self, other: _Counts) -> None:
        """Add what another counted."""
        for run, counts in other.runs.items():
            _add(self.run(*run), counts)
        for key, cell in other.cells.items():
            self.cell(key).add(cell.decisions, cell.amount, cell.examples)
        for rule, counts in other.rules.items():
            _add(self.rule(rule), counts)

    def rows(self) -> list[tuple[str, list[tuple[Any, ...]]]]:
        """Return statements and rows, sorted: two processes that write never wait in a circle."""
        return [
            (_RUNS, [(v, _time(h), *counts) for (v, h), counts in sorted(self.runs.items())]),
            (
                _CELLS,
                [
                    (v, b, _time(h), kind, live, shadow, c.decisions, c.amount, c.examples)
                    for (v, b, h, kind, live, shadow), c in sorted(
                        self.cells.items(), key=itemgetter(0)
                    )
                ],
            ),
            (
                _RULES,
                [
                    (v, b, _time(h), kind, rule_id, *counts)
                    for (v, b, h, kind, rule_id), counts in sorted(self.rules.items())
                ],
            ),
        ]


class _Cell:
    __slots__ = ("amount", "decisions", "examples")

    def __init__(self) -> None:
        self.decisions = 0
        self.amount = 0
        self.examples: list[bytes] = []

    def add(self, decisions: int, amount: int, examples: Sequence[bytes]) -> None:
        self.decisions += decisions
        self.amount += amount
        if len(self.examples) < EXAMPLES:
            self.examples = [*self.examples, *examples][:EXAMPLES]


def live_of(task: Mapping[str, Any], amount: int | None) -> Live:
    """Return the decision that a task tells of (`service.shadow.wire`)."""
    return Live(
        entry_id=bytes.fromhex(task["id"]),
        at_ms=task["at_ms"],
        event_type=task["type"],
        baseline=task["baseline"],
        outcome=task["outcome"],
        hits=frozenset(task["hits"]),
        amount=amount,
    )


def _add(counts: list[int], more: Sequence[int]) -> None:
    for place, count in enumerate(more):
        counts[place] += count


def _time(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR_MS // 1000, UTC)
