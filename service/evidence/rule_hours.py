"""What did each rule do in each hour? Counted from the recorded decisions, once.

Invariants: an hour that was counted gives the same figures as its decisions, and holds nothing of a
person; an hour that the ledger got more decisions of is counted anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from service.history.decisions import DecisionReader, RecordedDecision
from service.history.money import amount_of
from service.history.ordered import Span

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
# Hours of this time are compared in any case; older ones when a writer added anything to them.
LATE = timedelta(days=3)
# Entries of one writer that waited in its spool may come in after later ones: 64 MB of them.
OUT_OF_ORDER = 32_768

_COUNTS = """
SELECT date_trunc('hour', observed, 'UTC') AS hour, count(*) AS n FROM ledger_entry
WHERE type = 'decision' AND observed >= $1 AND observed < $2 GROUP BY 1
"""
_ADDED = """
SELECT w.writer, top.seq, (
    SELECT min(e.observed) FROM ledger_entry e
    WHERE e.writer = w.writer AND e.seq > coalesce(m.seq, 0) - $1 AND e.type = 'decision'
) AS first
FROM ledger_writer w
CROSS JOIN LATERAL (SELECT max(seq) AS seq FROM ledger_entry WHERE writer = w.writer) top
LEFT JOIN rule_hour_mark m ON m.writer = w.writer
WHERE top.seq > coalesce(m.seq, 0)
"""
_MARK = """
INSERT INTO rule_hour_mark (writer, seq) VALUES ($1, $2)
ON CONFLICT (writer) DO UPDATE SET seq = greatest(rule_hour_mark.seq, excluded.seq)
"""
_STORED = "SELECT hour, entries FROM rule_hour WHERE hour >= $1 AND hour < $2"
_READ = "SELECT hour, tally FROM rule_hour WHERE hour >= $1 AND hour < $2 ORDER BY hour"
_KEEP = """
INSERT INTO rule_hour (hour, entries, tally) VALUES ($1, $2, $3)
ON CONFLICT (hour) DO UPDATE SET entries = excluded.entries, tally = excluded.tally
"""


@dataclass(slots=True)
class RuleTally:
    """One rule in some time. `hits` by how they stood; the money is that of all of them.

    `declined`: hits of live rules in decisions that ended with decline.
    """

    hits: dict[str, int] = field(default_factory=dict)
    unknown: int = 0
    errors: int = 0
    amount_minor: int = 0
    declined: int = 0
    declined_amount_minor: int = 0
    last_ms: int | None = None

    @property
    def all_hits(self) -> int:
        """Hits, however they stood."""
        return sum(self.hits.values())

    def add(self, other: RuleTally) -> None:
        """Count what the other one has as well."""
        for standing, count in other.hits.items():
            self.hits[standing] = self.hits.get(standing, 0) + count
        self.unknown += other.unknown
        self.errors += other.errors
        self.amount_minor += other.amount_minor
        self.declined += other.declined
        self.declined_amount_minor += other.declined_amount_minor
        if other.last_ms is not None:
            self.last_ms = max(self.last_ms or 0, other.last_ms)


@dataclass(slots=True)
class HourTally:
    """Decisions by rule set and event type, and what each rule did in them."""

    decisions: dict[str, dict[str, int]] = field(default_factory=dict)
    rules: dict[str, RuleTally] = field(default_factory=dict)

    def count(self, decision: RecordedDecision) -> None:
        """Count one decision."""
        event = decision.event
        types = self.decisions.setdefault(decision.rule_set, {})
        event_type = str(event.fields["event.type"])
        types[event_type] = types.get(event_type, 0) + 1
        amount = amount_of(event) or 0
        for hit in decision.hits:
            rule = self.rules.setdefault(hit.rule_id, RuleTally())
            if hit.status == "hit":
                rule.hits[hit.mode] = rule.hits.get(hit.mode, 0) + 1
                rule.amount_minor += amount
                rule.last_ms = max(rule.last_ms or 0, event.observed_ms)
                if hit.mode == "live" and event.outcome == "decline":
                    rule.declined += 1
                    rule.declined_amount_minor += amount
            elif hit.status == "unknown":
                rule.unknown += 1
            else:
                rule.errors += 1

    def text(self) -> str:
        """Return what is kept."""
        return orjson.dumps(self).decode()

    @classmethod
    def read(cls, text: str) -> HourTally:
        """Return what was kept."""
        told = orjson.loads(text)
        rules = {name: RuleTally(**cells) for name, cells in told["rules"].items()}
        return cls(told["decisions"], rules)


def hour_of(at: datetime) -> datetime:
    """Return the beginning of an hour.

    >>> hour_of(datetime(2026, 11, 22, 8, 15, tzinfo=UTC)).isoformat()
    '2026-11-22T08:00:00+00:00'
    """
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


class Uncounted(NamedTuple):
    """What has to be counted: hours, with how many decisions the ledger has of each.

    `marks`: how far each writer is, to be kept when everything is counted.
    """

    hours: Mapping[datetime, int]
    marks: Sequence[tuple[bytes, int]]


async def uncounted_hours(
    connection: Any, since: datetime, until: datetime, now: datetime
) -> Uncounted:
    """Return the hours of which the ledger has something else than was counted."""
    added = await connection.fetch(_ADDED, OUT_OF_ORDER)
    stored = {row["hour"]: row["entries"] for row in await connection.fetch(_STORED, since, until)}
    hours = [since + HOUR * number for number in range((until - since) // HOUR)]
    first_missing = next((hour for hour in hours if hour not in stored), until)
    firsts = [hour_of(row["first"]) for row in added if row["first"] is not None]
    start = max(since, min(first_missing, hour_of(now - LATE), *firsts))
    counts = {row["hour"]: row["n"] for row in await connection.fetch(_COUNTS, start, until)}
    return Uncounted(
        {
            hour: counts.get(hour, 0)
            for hour in hours
            if hour >= start and stored.get(hour) != counts.get(hour, 0)
        },
        [(row["writer"], row["seq"]) for row in added],
    )


async def keep_marks(connection: Any, uncounted: Uncounted) -> None:
    """Note that everything which had to be counted is."""
    await connection.executemany(_MARK, uncounted.marks)


async def count_hours(
    reader: DecisionReader, connection: Any, uncounted: Uncounted
) -> AsyncIterator[int]:
    """Count hours and keep them; yield how many decisions were read since the last time.

    `connection` is another one than the reader's. What was kept stays when this is cut short.
    """
    for hours in _together(sorted(uncounted.hours)):
        tallies = {hour: HourTally() for hour in hours}
        kept = 0
        span = Span(_ms(hours[0]), _ms(hours[-1] + HOUR) - 1)
        async for page in reader.pages(span):
            for decision in page:
                at_ms = decision.place.observed_ms
                tallies[hours[0] + HOUR * ((at_ms - _ms(hours[0])) // HOUR_MS)].count(decision)
            # Pages come in order: whatever lies before this one is complete.
            while hours[kept] < hour_of(_time(page[-1].place.observed_ms)):
                await _keep(connection, hours[kept], tallies.pop(hours[kept]), uncounted.hours)
                kept += 1
            yield len(page)
        for hour in hours[kept:]:
            await _keep(connection, hour, tallies[hour], uncounted.hours)


async def read_hours(
    connection: Any, since: datetime, until: datetime
) -> list[tuple[datetime, HourTally]]:
    """Return the hours that were counted, in order."""
    rows = await connection.fetch(_READ, since, until)
    return [(row["hour"], HourTally.read(row["tally"])) for row in rows]


async def _keep(
    connection: Any, hour: datetime, tally: HourTally, counts: Mapping[datetime, int]
) -> None:
    await connection.execute(_KEEP, hour, counts[hour], tally.text())


def _together(hours: Sequence[datetime]) -> list[list[datetime]]:
    """Return hours in groups without a gap, so that each group is read in one go.

    >>> day = datetime(2026, 11, 22, tzinfo=UTC)
    >>> [len(group) for group in _together([day, day + HOUR, day + 3 * HOUR])]
    [2, 1]
    """
    groups: list[list[datetime]] = []
    for hour in hours:
        if groups and hour - groups[-1][-1] == HOUR:
            groups[-1].append(hour)
        else:
            groups.append([hour])
    return groups


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)
