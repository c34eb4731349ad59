"""Which entities of an event are on which lists?

Every worker holds all entries that are in force; a look-up is a dict access. Invariant: an entry
counts from its start until just before its expiry, by the time of the event, and what is written
anew never leaves a moment in which it does not count.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rules.human_review import LISTED as HUMAN_REVIEW
from rules.listed import Listed
from service.turns import in_turns

CHANNEL = "touchstone_lists"
# Rows of one look into the table; about 3 ms of work.
PAGE = 1_000
# What has expired counts for nothing at once; it leaves the memory at the first look after this.
SWEEP = timedelta(minutes=1)
FOREVER_US = 1 << 62

_HEAD = "SELECT last_value, is_called FROM list_revision"
_CURRENT = """
SELECT id, list, kind, tag, added_at, expires_at FROM list_entry
WHERE id > $1 AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
ORDER BY id LIMIT $3
"""
_CHANGES = """
SELECT revision, list, kind, tag, added_at, expires_at, removed_at FROM list_entry
WHERE revision > $1 ORDER BY revision LIMIT $2
"""
_EXPIRED = """
SELECT list, kind, tag, added_at FROM list_entry
WHERE removed_at IS NULL AND expires_at >= $1 AND expires_at < $2
"""

Entries = dict[str, tuple[int, int]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Lists:
    """The lists as this worker knows them; `refresh` is called at each change."""

    def __init__(self) -> None:
        self._entries: dict[Listed, Entries] = {}
        self._revision: int | None = None
        self._swept = datetime.now(UTC)
        self._is_read = asyncio.Event()

    def facts(
        self, listed: Iterable[Listed], tags: Mapping[str, str], at_ms: int
    ) -> dict[str, bool]:
        """Return the fact of each list: true when the event's entity of that kind is on it.

        False for an event without such an entity and for a list that does not exist; absent while
        the lists were never read, so that rules answer `unknown`. An entry counts from its start
        until just before its expiry; `at_ms` is in Unix milliseconds.
        """
        if self._revision is None:
            return {}
        at_us = at_ms * 1000
        found = {}
        for one in listed:
            entries = self._entries.get(one)
            tag = tags.get(one.kind)
            span = entries.get(tag) if entries and tag is not None else None
            found[one.fact] = span is not None and span[0] <= at_us < span[1]
        return found

    def flags(self, tags: Mapping[str, str], at_ms: int) -> dict[str, bool]:
        """Return the facts of the reserved list `human_review` that are true, mostly none.

        The service asks about it whatever the rules do. While the lists were never read there are
        none: nobody is known to be on it.
        """
        flagged = [one for one in HUMAN_REVIEW if self._entries.get(one)]
        if not flagged:
            return {}
        return {fact: True for fact, is_on in self.facts(flagged, tags, at_ms).items() if is_on}

    @property
    def is_read(self) -> bool:
        """Whether the lists were read since the start."""
        return self._revision is not None

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    async def first_read(self, patience_seconds: float) -> None:
        """Return when the lists were read once, or when patience ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._is_read.wait()

    async def refresh(self, connection: Any) -> None:
        """Take over what changed. Raises what asyncpg raises; the last known lists hold then."""
        if self._revision is None:
            await self._read_all(connection)
        else:
            await self._read_changes(connection, self._revision)
        now = datetime.now(UTC)
        if now - self._swept > SWEEP:
            await self._sweep(connection, now)

    async def _read_all(self, connection: Any) -> None:
        head = await connection.fetchrow(_HEAD)
        entries: dict[Listed, Entries] = {}
        spans: dict[tuple[int, int], tuple[int, int]] = {}
        last, now = 0, datetime.now(UTC) - SWEEP
        while rows := await connection.fetch(_CURRENT, last, now, PAGE):
            for row in rows:
                span = _span(row)
                # Entries that came in together share their times: a third less memory.
                _of(entries, row)[row["tag"]] = spans.setdefault(span, span)
            last = rows[-1]["id"]
        self._entries = entries
        self._revision = head["last_value"] if head["is_called"] else 0
        # What was committed while the pages were read is applied before anybody is told.
        await self._read_changes(connection, self._revision)
        self._is_read.set()

    async def _read_changes(self, connection: Any, revision: int) -> None:
        changes: list[Any] = []
        while rows := await connection.fetch(_CHANGES, revision, PAGE):
            changes += rows
            revision = rows[-1]["revision"]
        spans: dict[tuple[int, int], tuple[int, int]] = {}
        async for row in in_turns([row for row in changes if row["removed_at"] is None]):
            span = _span(row)
            _of(self._entries, row)[row["tag"]] = spans.setdefault(span, span)
        # Last, and only what was not written anew: what is replaced stays on its list throughout.
        async for row in in_turns([row for row in changes if row["removed_at"] is not None]):
            self._drop(row)
        self._revision = revision

    async def _sweep(self, connection: Any, now: datetime) -> None:
        # A minute later than the clock says, so that no event under way misses its entry.
        since, until = self._swept - SWEEP, now - SWEEP
        async for row in in_turns(await connection.fetch(_EXPIRED, since, until)):
            self._drop(row)
        self._swept = now

    def _drop(self, row: Any) -> None:
        entries = _of(self._entries, row)
        span = entries.get(row["tag"])
        if span is not None and span[0] == epoch_us(row["added_at"]):
            del entries[row["tag"]]


def epoch_us(at: datetime) -> int:
    """Return `at` as whole microseconds since 1970-01-01 UTC, to the letter.

    >>> epoch_us(datetime(1970, 1, 1, 0, 0, 1, 7, tzinfo=UTC))
    1000007
    """
    return (at - _EPOCH) // _MICROSECOND


def _of(entries: dict[Listed, Entries], row: Any) -> Entries:
    return entries.setdefault(Listed(row["list"], row["kind"]), {})


def _span(row: Any) -> tuple[int, int]:
    expires_at = row["expires_at"]
    return epoch_us(row["added_at"]), FOREVER_US if expires_at is None else epoch_us(expires_at)
