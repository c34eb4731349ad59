"""How are many decisions computed again?

Entry ids are read in turn and handed out in parts, to this process or to several; each part opens
its entries, computes, compares and counts. Invariant: every decision of the span is counted once,
as equal, different, or as not computed with the reason; memory does not grow with the span.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from service.audit.opened_entries import OPEN, AuditEntry, EntryOpener
from service.audit.replay import concluded, decided_again, differences, recorded_of
from service.audit.replay_archive import PartMissing, ReplayArchive
from service.code_version import code_version
from service.keys import open_wrapper
from service.ledger.keys import Keyring
from service.settings import Settings

# 0.6 ms of work each: a part takes half a second.
PART_ENTRIES = 500
MOST_SHOWN = 20
NICE = 10
# What a process of its own costs to start, in decisions.
WORTH_PROCESSES = 3_000

_IDS = """
SELECT entry_id FROM ledger_entry
WHERE type = 'decision' AND ($1::timestamptz IS NULL OR observed >= $1)
  AND ($2::timestamptz IS NULL OR observed < $2)
ORDER BY observed, writer, seq LIMIT $3
"""
_COUNT = """
SELECT count(*) FROM ledger_entry
WHERE type = 'decision' AND ($1::timestamptz IS NULL OR observed >= $1)
  AND ($2::timestamptz IS NULL OR observed < $2)
"""

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class ReplayTally:
    """What came of the decisions.

    `different`: entry id and what differs, the first of them; `missing`: why some could not be
    computed, by reason: `erased`, `restricted`, `gone` (past its retention), `damaged`, and the
    names of parts that are not here. `other_code`: computed by other code than decided.
    """

    equal: int = 0
    differing: int = 0
    different: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    other_code: Counter[str] = field(default_factory=Counter)
    model_failed: int = 0

    @property
    def total(self) -> int:
        """How many decisions were looked at."""
        return self.equal + self.differing + self.unread.total() + self.missing.total()

    def add(self, other: ReplayTally) -> None:
        """Take in what another part found."""
        self.equal += other.equal
        self.differing += other.differing
        self.different = (self.different + other.different)[:MOST_SHOWN]
        self.unread.update(other.unread)
        self.missing.update(other.missing)
        self.other_code.update(other.other_code)
        self.model_failed += other.model_failed


@dataclass(frozen=True, slots=True)
class Replaying:
    """What a process needs to compute decisions again."""

    opener: EntryOpener
    archive: ReplayArchive
    code: str

    @classmethod
    def of(cls, settings: Settings) -> Replaying:
        """Raises `CatalogError` and key errors."""
        opener = EntryOpener(Keyring(open_wrapper(settings)), settings.ledger.log_name)
        return cls(opener, ReplayArchive(settings), code_version())

    async def part(self, connection: Any, entry_ids: Sequence[bytes]) -> ReplayTally:
        """Compute these decisions again. Raises `WrongKek` and what asyncpg raises."""
        tally = ReplayTally()
        # Nothing of what is read is shown, but restriction means that it is not used, either.
        entries = await self.opener.entries(connection, entry_ids, ("core", "subject"))
        tally.unread["gone"] += len(entry_ids) - len(entries)
        for entry in entries:
            await self._one(connection, entry, tally)
        return tally

    async def _one(self, connection: Any, entry: AuditEntry, tally: ReplayTally) -> None:
        closed = [state for state in entry.states.values() if state != OPEN]
        if closed:
            tally.unread[closed[-1]] += 1
            return
        try:
            recorded = recorded_of(entry.blocks["core"], entry.blocks["subject"])
        except KeyError:
            tally.unread["early"] += 1
            return
        versions = entry.header.versions
        try:
            ruling, catalog = await self.archive.ruling(connection, versions.get("rule_set", ""))
            scorer = self.archive.scorer(versions.get("bundle"))
        except PartMissing as missing:
            tally.missing[str(missing)] += 1
            return
        just_seen = recorded.just_seen
        if just_seen is None:
            just_seen = concluded(recorded, catalog.plan(recorded.answer["type"]).novelty)
        again = decided_again(recorded, ruling, scorer, just_seen)
        different = differences(recorded.answer, again)
        if different:
            tally.differing += 1
            tally.different = [*tally.different, (entry.entry_id, different)][:MOST_SHOWN]
        else:
            tally.equal += 1
        if versions.get("code") != self.code:
            tally.other_code[versions.get("code", "")] += 1
        if scorer is not None and recorded.answer["score"] is None:
            tally.model_failed += 1


async def replay_span(
    settings: Settings,
    dsn: str,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    progress: Progress,
    processes: int | None = None,
) -> ReplayTally:
    """Compute the decisions of `since <= observed < until` again, `limit` of them, oldest first.

    `processes` None: two when it is worth it. Raises as `Replaying.part`.
    """
    connection = await asyncpg.connect(dsn)
    try:
        total = int(await connection.fetchval(_COUNT, since, until))
        total = total if limit is None else min(total, limit)
        if processes is None:
            processes = min(2, os.cpu_count() or 1) if total >= WORTH_PROCESSES else 1
        parts = _parts(connection, since, until, limit)
        tally = ReplayTally()
        if processes > 1:
            async for found in _by_processes(settings, dsn, parts, processes):
                tally.add(found)
                progress(tally.total, total)
            return tally
        replaying, reading = Replaying.of(settings), await asyncpg.connect(dsn)
        try:
            async for entry_ids in parts:
                tally.add(await replaying.part(reading, entry_ids))
                progress(tally.total, total)
        finally:
            await reading.close(timeout=5)
        return tally
    finally:
        await connection.close(timeout=5)


async def replay_entry(settings: Settings, dsn: str, entry_id: bytes) -> ReplayTally:
    """Compute one decision again; the tally is empty when there is no such decision."""
    connection = await asyncpg.connect(dsn)
    try:
        kind = await connection.fetchval(
            "SELECT type FROM ledger_entry WHERE entry_id = $1", entry_id
        )
        if kind != "decision":
            return ReplayTally()
        return await Replaying.of(settings).part(connection, [entry_id])
    finally:
        await connection.close(timeout=5)


async def _parts(
    connection: Any, since: datetime | None, until: datetime | None, limit: int | None
) -> AsyncIterator[list[bytes]]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(_IDS, since, until, limit)
        while rows := await cursor.fetch(PART_ENTRIES):
            yield [row["entry_id"] for row in rows]


async def _by_processes(
    settings: Settings, dsn: str, parts: AsyncIterator[list[bytes]], processes: int
) -> AsyncIterator[ReplayTally]:
    """Yield what each part found, as they come; two parts for each process are under way."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (settings, dsn)) as pool:
        waiting: set[asyncio.Future[ReplayTally]] = set()
        try:
            async for entry_ids in parts:
                job: Future[ReplayTally] = pool.submit(_work, entry_ids)
                waiting.add(asyncio.wrap_future(job))
                if len(waiting) >= 2 * processes:
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for found in done:
                        yield found.result()
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for found in done:
                    yield found.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_PROCESS: list[tuple[Replaying, str]] = []


def _begin(settings: Settings, dsn: str) -> None:
    os.nice(NICE)
    _PROCESS.append((Replaying.of(settings), dsn))


def _work(entry_ids: list[bytes]) -> ReplayTally:
    replaying, dsn = _PROCESS[0]

    async def work() -> ReplayTally:
        connection = await asyncpg.connect(dsn)
        try:
            return await replaying.part(connection, entry_ids)
        finally:
            await connection.close(timeout=5)

    return asyncio.run(work())
