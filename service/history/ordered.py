"""Which entries about events does the ledger hold, in the order in which they were accepted?

Order: (observed_ms, writer, number). One consistent snapshot, two whole pages in memory at most,
but for the entries of one second, which are always held together. Invariant: the same entries give
the same order, wherever reading begins.

Entries that wait in the spool of a writer are not in the table, so not in the history: see
`service/history/spools.py`. Those of erased persons, of persons whose entries nobody may read, and
entries that a spool brought in for an event that another entry answers, are skipped and counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from service.history.opened import Opened, Opener, Unusable
from service.ledger.keys import Keyring
from service.rights.restrictions import restricted_tags

PAGE_ENTRIES = 2_000
EVENT_ENTRIES = ("decision", "event")

_PLACES = """
SELECT entry_id, observed FROM ledger_entry
WHERE type = ANY($3::text[]) AND observed BETWEEN $1 AND $2
ORDER BY observed, writer, seq
"""
_ENTRIES = """
SELECT e.entry_id, e.writer, e.seq, e.header, e.core, e.subject, e.event_key,
       k.key_id, k.subject_tag, k.wrapped
FROM ledger_entry e
LEFT JOIN entry_subject s ON s.entry_id = e.entry_id
LEFT JOIN subject_key k ON k.key_id = s.key_id
WHERE e.entry_id = ANY($1::bytea[])
"""
_IDS_OF_EVENTS = """
SELECT entry_id FROM ledger_entry WHERE event_key = ANY($1::bytea[]) AND type = ANY($2::text[])
"""
_MONTH_KEYS = "SELECT name, wrapped FROM ledger_key WHERE name LIKE 'core/%'"

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)
_ONE = timedelta(seconds=1)
_place = attrgetter("place")


@dataclass(slots=True)
class Skipped:
    """How many entries gave nothing, and why. `expired`: a decision past its retention."""

    erased: int = 0
    superseded: int = 0
    unreadable: int = 0
    expired: int = 0
    restricted: int = 0

    def note(self, why: str) -> None:
        setattr(self, why, getattr(self, why) + 1)


class Span(NamedTuple):
    """Which part of the history: `since_ms <= observed_ms <= until_ms`; None: without a bound."""

    since_ms: int | None = None
    until_ms: int | None = None

    def holds(self, observed_ms: int) -> bool:
        return (self.since_ms is None or observed_ms >= self.since_ms) and (
            self.until_ms is None or observed_ms <= self.until_ms
        )

    def seconds(self) -> tuple[datetime, datetime]:
        """Return the whole seconds of the entries: they are cut, milliseconds are rounded."""
        since = _EARLIEST if self.since_ms is None else _second(self.since_ms) - _ONE
        return since, _LATEST if self.until_ms is None else _second(self.until_ms)


class OrderedEntries:
    """The entries about events of one log. `connection` is an asyncpg connection of its own."""

    def __init__(
        self, connection: Any, ring: Keyring, log: str, *, even_restricted: bool = False
    ) -> None:
        """`even_restricted`: for counters, which go on being kept; nobody sees these events."""
        self._connection = connection
        self._ring = ring
        self._log = log
        self._even_restricted = even_restricted
        self._restricted: frozenset[str] = frozenset()
        self._opener: Opener | None = None
        self.skipped = Skipped()

    async def pages(
        self, span: Span, types: Sequence[str] = EVENT_ENTRIES
    ) -> AsyncIterator[list[Opened]]:
        """Yield the opened entries of a span and of these types; `skipped` grows along the way.

        Raises `WrongKek` and what asyncpg raises.
        """
        opener = Opener(self._ring, self._log, await self._month_keys())
        waiting: list[Opened] = []
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            await self._look_at_restrictions()
            async for ids, end_ms in self._seconds(span, types):
                waiting += await self._opened(opener, ids)
                waiting.sort(key=_place)
                # A time of acceptance is rounded to the millisecond: 999.6 ms is in the second
                # after the one that its entry names, behind entries that are not read yet.
                ready = [item for item in waiting if item.place.observed_ms < end_ms]
                yield _held(span, ready)
                del waiting[: len(ready)]
        yield _held(span, waiting)

    async def of_events(
        self, event_tags: Sequence[str], types: Sequence[str] = EVENT_ENTRIES
    ) -> list[Opened]:
        """Return the opened entries of some events, in no order; `skipped` grows.

        Raises `WrongKek` and what asyncpg raises.
        """
        if self._opener is None:
            self._opener = Opener(self._ring, self._log, await self._month_keys())
        await self._look_at_restrictions()
        keys = [tag.encode() for tag in event_tags]
        rows = await self._connection.fetch(_IDS_OF_EVENTS, keys, list(types))
        return await self._opened(self._opener, [row["entry_id"] for row in rows])

    async def _seconds(
        self, span: Span, types: Sequence[str]
    ) -> AsyncIterator[tuple[list[bytes], int]]:
        """Yield entry ids, whole seconds at a time, and the millisecond that ends them."""
        cursor = await self._connection.cursor(_PLACES, *span.seconds(), list(types))
        held: list[Any] = []
        while rows := await cursor.fetch(PAGE_ENTRIES):
            last = rows[-1]["observed"]
            whole = [*held, *(row for row in rows if row["observed"] < last)]
            held = [row for row in rows if row["observed"] == last]
            if whole and whole[-1]["observed"] == last:  # the second goes on and on
                held = [*whole, *held]
            elif whole:
                yield [row["entry_id"] for row in whole], _end_ms(whole[-1]["observed"])
        if held:
            yield [row["entry_id"] for row in held], _end_ms(held[-1]["observed"])

    async def _opened(self, opener: Opener, ids: list[bytes]) -> list[Opened]:
        found = []
        for at in range(0, len(ids), PAGE_ENTRIES):
            for row in await self._connection.fetch(_ENTRIES, ids[at : at + PAGE_ENTRIES]):
                if row["subject_tag"] in self._restricted:
                    self.skipped.note("restricted")
                    continue
                try:
                    found.append(opener.event(row))
                except Unusable as unusable:
                    self.skipped.note(unusable.why)
        return found

    async def _look_at_restrictions(self) -> None:
        if not self._even_restricted:
            self._restricted = await restricted_tags(self._connection)

    async def _month_keys(self) -> dict[str, bytes]:
        return {
            row["name"]: self._ring.open_month_key(row["name"], row["wrapped"])
            for row in await self._connection.fetch(_MONTH_KEYS)
        }


def _held(span: Span, found: list[Opened]) -> list[Opened]:
    return [item for item in found if span.holds(item.place.observed_ms)]


def _second(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def _end_ms(second: datetime) -> int:
    return (int(second.timestamp()) + 1) * 1000
