"""How are many decisions computed again?

Entry ids are read in turn and handed out in parts, to this process or to several; each part opens
its entries, computes, compares and counts. Invariant: every decision of the span is counted once,
as equal, different, or as not computed with the reason; memory does not grow with the span.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import asyncpg

from features.catalog import DEFAULT_PATH, Catalog
from service.audit.opened_entries import OPEN, EntryOpener
from service.audit.replay_archive import ReplayArchive
from service.audit.replay_tally import ReplayTally, compare
from service.keys import open_wrapper
from service.ledger.keys import Keyring
from service.rule_sets.store import read_files
from service.settings import Settings

# 0.6 ms of work each: a part takes half a second.
PART_ENTRIES = 500
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


@dataclass(frozen=True, slots=True)
class Replaying:
    """What a process needs to compute decisions again."""

    opener: EntryOpener
    archive: ReplayArchive

    @classmethod
    def of(cls, settings: Settings) -> Replaying:
        """Raises `CatalogError` and key errors."""
        opener = EntryOpener(Keyring(open_wrapper(settings)), settings.ledger.log_name)
        catalog = Catalog.load(settings.catalog or DEFAULT_PATH)
        return cls(opener, ReplayArchive(catalog, settings.var / "bundles"))

    async def part(self, connection: Any, entry_ids: Sequence[bytes]) -> ReplayTally:
        """Compute these decisions again. Raises `WrongKek` and what asyncpg raises."""
        tally = ReplayTally()
        # Nothing of what is read is shown, but restriction means that it is not used, either.
        entries = await self.opener.entries(connection, entry_ids, ("core", "subject"))
        tally.unread["damaged"] += len(entry_ids) - len(entries)
        for entry in entries:
            closed = [state for state in entry.states.values() if state != OPEN]
            if closed:
                tally.unread[closed[-1]] += 1
            else:
                said = entry.header.versions, entry.blocks["core"], entry.blocks["subject"]
                await compare(
                    self.archive, partial(read_files, connection), entry.entry_id, *said, tally
                )
        return tally


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
