"""Which events does the ledger hold, in the order in which they were accepted?

Decided ones and those that were only counted, each with its position. Invariant: the same entries
give the same order and the same positions, wherever reading begins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from features.history import HistoryEvent
from service.history.opened import Place
from service.history.ordered import OrderedEntries, Skipped, Span
from service.ledger.keys import Keyring
from service.rights.journal import Digests, Erased, records_since

__all__ = ["LedgerHistory", "Mark", "Page", "Skipped", "Span", "count_entries", "has_events"]

# Positions are milliseconds times this, and one more for each further event of a millisecond: a
# late entry moves no other one. 2^53 is reached in the year 2109.
PER_MS = 2_048

_COUNT = """
SELECT count(*) FROM ledger_entry
WHERE type IN ('decision', 'event') AND observed BETWEEN $1 AND $2
"""
_ERASURES = "SELECT coalesce(max(id), 0) FROM erasure_journal"
_ANY = "SELECT EXISTS (SELECT 1 FROM ledger_entry WHERE type IN ('decision', 'event'))"


class Mark(NamedTuple):
    """How far a reader came: after the event of this place and position."""

    place: Place
    position: int


class Page(NamedTuple):
    """Some events, oldest first, and where to go on after them.

    `catalogs[i]` is the version of the catalog that `events[i]` was counted under.
    """

    events: list[HistoryEvent]
    catalogs: list[str | None]
    mark: Mark


class LedgerHistory:
    """The events of one log. `connection` is an asyncpg connection of its own."""

    def __init__(
        self,
        connection: Any,
        ring: Keyring,
        log: str,
        *,
        digests: Digests | None = None,
        even_restricted: bool = False,
    ) -> None:
        """With `digests`, tags of erased persons are left out of the events of others.

        `even_restricted`: see `OrderedEntries`.
        """
        self._connection = connection
        self._entries = OrderedEntries(connection, ring, log, even_restricted=even_restricted)
        self._erased = None if digests is None else Erased(digests)

    @property
    def skipped(self) -> Skipped:
        """How many entries gave no event so far."""
        return self._entries.skipped

    async def count(self, span: Span) -> int:
        """Return how many entries a span has, within a second and with those to be skipped."""
        return await count_entries(self._connection, span)

    async def pages(self, span: Span, after: Mark | None = None) -> AsyncIterator[Page]:
        """Yield the events of a span, those after a mark only; `skipped` grows along the way.

        Raises `WrongKek` and what asyncpg raises.
        """
        if after is not None:
            since = max(span.since_ms or 0, after.place.observed_ms)
            span = Span(since, span.until_ms)
        mark = after
        await self._look_at_erasures()
        async for found in self._entries.pages(span):
            events: list[HistoryEvent] = []
            catalogs: list[str | None] = []
            for opened in found:
                place = opened.place
                if mark is not None and place <= mark.place:
                    continue
                position = place.observed_ms * PER_MS
                if mark is not None:
                    position = max(position, mark.position + 1)
                mark = Mark(place, position)
                events.append(self._without_erased(opened.event)._replace(position=position))
                catalogs.append(opened.versions.get("catalog"))
            if events and mark is not None:
                yield Page(events, catalogs, mark)

    async def erasures(self) -> int:
        """Return a number that grows with every erasure. Raises what asyncpg raises."""
        return int(await self._connection.fetchval(_ERASURES))

    async def _look_at_erasures(self) -> None:
        if self._erased is not None:
            records, _ = await records_since(self._connection, 0)
            self._erased.add(records)

    def _without_erased(self, event: HistoryEvent) -> HistoryEvent:
        """Return the event without entities that were erased since, such as a device it shared."""
        if not self._erased:
            return event
        return event._replace(tags=self._erased.without(event.tags, event.observed_ms))


async def has_events(connection: Any) -> bool:
    """Say whether any event was ever recorded. Raises what asyncpg raises."""
    return bool(await connection.fetchval(_ANY))


async def count_entries(connection: Any, span: Span) -> int:
    """Return how many entries a span has, within a second. Raises what asyncpg raises."""
    return int(await connection.fetchval(_COUNT, *span.seconds()))
