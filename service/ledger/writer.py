"""How does an entry become durable before its answer leaves?

Group commit: whatever queued while the previous commit ran goes into the next one; there is no
timer. When PostgreSQL fails or is slow, the same rows go to the spool, and a background task brings
them in. Invariants: `append` returns only after a commit or an fsync. One batch at a time is under
way, and a number is given again only if it was surely not used: a writer's numbers have no gap and
no repeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import asyncpg

from service.ledger.backlog import Backlog
from service.ledger.batch import Queued, Waiting, give_up, take_batch, tell, tell_repeat
from service.ledger.drain import AWAY, at_most
from service.ledger.entry import EntryDraft, check_log_name
from service.ledger.errors import BadDraft, DuplicateEvent, LedgerUnavailable, SpoolBroken
from service.ledger.frames import month_key_rows, subject_key_rows
from service.ledger.keys import Keyring
from service.ledger.recovery import Recovery, WriterSettings
from service.ledger.row import SealedEntry, StoredRow, numbered, sealed
from service.ledger.table import close_writer, insert, owners_of_event_keys, stored_entry_ids

log = logging.getLogger(__name__)

__all__ = ["LedgerWriter", "WriterSettings", "WriterStatus"]

# 16 rows take 1.2 ms, 64 about 4 ms: longer batches would only add waiting.
MAX_BATCH = 64
# A commit gets half of what is left of the earliest caller's time, the spool the rest.
COMMIT_SHARE = 0.5
# A commit takes 1 ms, on a loaded machine 20. Giving one up costs the connection, so a caller who
# comes with less time than this is told that it is up, and the commit goes on for the others.
COMMIT_FLOOR_SECONDS = 0.05
COMMIT_ATTEMPTS = 5
# What is done between batches takes 5 ms; on a machine that is busy starting, a hundred times that.
BETWEEN_SECONDS = 0.5
CLOSE_SECONDS = 5.0


class WriterStatus(NamedTuple):
    """What the writer is doing: `mode` is `live`, `spooling` or `closed`."""

    mode: str
    queued: int
    spooled_entries: int
    spooled_bytes: int
    drained_entries: int
    superseded_entries: int
    last_error: str | None


class LedgerWriter:
    """Appends entries for one process. Made by `start`; for one event loop, not thread-safe."""

    def __init__(self, settings: WriterSettings, ring: Keyring) -> None:
        check_log_name(settings.log)
        self._settings = settings
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._begin_writer()
        self._backlog = Backlog(settings.spool_dir, settings.spool_max_bytes)
        self._connection: Any = None
        self._queue: deque[Queued] = deque()
        self._idle: asyncio.Future[None] | None = None
        self._slot = asyncio.Lock()
        self._is_closing = False
        self._runner: asyncio.Task[None] | None = None
        self._recovery = Recovery(settings, ring, self._backlog, self._slot, self._come_to)

    @classmethod
    async def start(cls, settings: WriterSettings, ring: Keyring) -> LedgerWriter:
        """Start a writer: drain what dead writers left, or begin to spool with PostgreSQL away.

        Raises `NotDurable`, `WrongKek`, `SpoolBroken`, and what asyncpg raises when the server is
        there but refuses (no such database, wrong password, no such table).
        """
        writer = cls(settings, ring)
        try:
            await writer._recovery.come_back()
        except AWAY as error:
            writer._go_away(error)
        except BaseException:
            writer._backlog.close()
            raise
        writer._runner = asyncio.create_task(writer._run(), name="ledger-writer")
        return writer

    async def append(self, draft: EntryDraft, *, timeout_s: float) -> None:
        """Return when the entry is durable: committed, or fsynced in the spool.

        Raises `BadDraft`, `DuplicateEvent` when another entry has the event key, and
        `LedgerUnavailable` when neither place took the entry within `timeout_s` seconds.
        """
        if self._is_closing:
            raise LedgerUnavailable("the writer is closed")
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.append(Queued(draft, future, self._loop.time() + timeout_s))
        self._wake()
        timer = self._loop.call_later(timeout_s, give_up, future)
        try:
            await future
        finally:
            timer.cancel()

    def status(self) -> WriterStatus:
        """Return what the writer is doing."""
        is_live = self._connection is not None
        return WriterStatus(
            mode="closed" if self._is_closing else "live" if is_live else "spooling",
            queued=len(self._queue),
            spooled_entries=len(self._backlog),
            spooled_bytes=self._backlog.size_bytes,
            drained_entries=self._recovery.drained.stored,
            superseded_entries=self._recovery.drained.superseded,
            last_error=self._recovery.last_error,
        )

    def find_spooled(
        self, *, entry_id: bytes | None = None, event_key: bytes | None = None
    ) -> StoredRow | None:
        """Return an entry of this writer that waits in the spool."""
        return self._backlog.find(entry_id=entry_id, event_key=event_key)

    async def between_batches(self, act: Callable[[Any], Awaitable[None]]) -> bool:
        """Run `act` on the connection while nothing is being stored; False: there is none.

        Callers wait meanwhile, so it has to be done in milliseconds. Raises what `act` raises; when
        that cost the connection, entries go to the spool until there is another.
        """
        async with self._slot:
            connection = self._connection
            if connection is None:
                return False
            try:
                async with at_most(connection, BETWEEN_SECONDS):
                    await act(connection)
            except (asyncpg.PostgresError, *AWAY) as error:
                if connection.is_closed():
                    self._go_away(error)
                raise
            return True

    async def close(self) -> None:
        """Make durable what is queued, then stop. What is spooled waits for the next start."""
        self._is_closing = True
        self._wake()
        if self._runner is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._runner, CLOSE_SECONDS)
        await self._recovery.stop()
        while self._queue:
            tell(self._queue.popleft(), LedgerUnavailable("the writer was closed"))
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(asyncpg.PostgresError, *AWAY):
                async with at_most(connection, CLOSE_SECONDS):
                    if self._is_registered:
                        await close_writer(connection, self._writer, self._next_seq - 1)
                    await connection.close()
        self._backlog.close()

    def _begin_writer(self) -> None:
        """Take a fresh writer id: the old one ends at a number whose fate is not known."""
        self._writer = os.urandom(16)
        self._next_seq = 1
        self._is_registered = False

    def _sealed(self, draft: EntryDraft) -> SealedEntry:
        return sealed(draft, self._settings.log, self._ring)

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._is_closing:
                    return
                self._idle = self._loop.create_future()
                await self._idle
                continue
            async with self._slot:
                batch, repeats = take_batch(self._queue, MAX_BATCH, self._sealed)
                try:
                    if self._connection is None:
                        await self._put_aside(batch, may_be_stored=False)
                    else:
                        await self._commit(batch)
                except Exception as error:  # a bug fails its callers, not the writer
                    log.exception("a batch of the ledger failed")
                    self._begin_writer()
                    for waiting in batch:
                        tell(waiting, LedgerUnavailable(type(error).__name__))
                for repeat in repeats:
                    tell_repeat(repeat)

    async def _commit(self, batch: list[Waiting]) -> None:
        """Commit the batch, or put it aside; every caller is told."""
        earliest = min((waiting.deadline for waiting in batch), default=0.0)
        seconds = max((earliest - self._loop.time()) * COMMIT_SHARE, COMMIT_FLOOR_SECONDS)
        try:
            async with at_most(self._connection, seconds):
                for _ in range(COMMIT_ATTEMPTS):
                    if not batch or await self._stored(batch):
                        break
                else:
                    raise asyncpg.UniqueViolationError("a conflict that no entry explains")
        except (asyncpg.PostgresError, *AWAY) as error:
            self._go_away(error)
            await self._put_aside(batch, may_be_stored=True)
            return
        self._next_seq += len(batch)
        for waiting in batch:
            tell(waiting)

    async def _stored(self, batch: list[Waiting]) -> bool:
        """Insert the batch; on a conflict take the entries that cause it out of it."""
        entries = [waiting.entry for waiting in batch]
        months = {key for entry in entries for key in entry.month_keys}
        try:
            await insert(
                self._connection,
                self._rows(batch),
                subject_key_rows(entry.subject_key for entry in entries),
                month_key_rows(months),
                () if self._is_registered else (self._writer,),
            )
        except asyncpg.DeadlockDetectedError:
            return False
        except asyncpg.UniqueViolationError as conflict:
            if conflict.constraint_name == "ledger_entry_writer_seq_key":
                # Somebody else wrote under our name: leave it to them, verify will show it.
                self._begin_writer()
            await self._without_known(batch)
            return False
        self._is_registered = True
        for month in months:
            month.stored = True
        for entry in entries:
            if entry.subject_key is not None:
                entry.subject_key.stored = True
        return True

    async def _without_known(self, batch: list[Waiting]) -> None:
        keys = [w.entry.event_key for w in batch if w.entry.event_key is not None]
        owners = await owners_of_event_keys(self._connection, keys)
        ids = await stored_entry_ids(self._connection, [w.entry.entry_id for w in batch])
        for waiting in list(batch):
            key = waiting.entry.event_key
            if waiting.entry.entry_id in ids:
                batch.remove(waiting)
                tell(waiting, BadDraft("this entry id is in the log"))
            elif key is not None and key in owners:
                batch.remove(waiting)
                tell(waiting, DuplicateEvent(key))

    async def _put_aside(self, batch: list[Waiting], *, may_be_stored: bool) -> None:
        """Write the batch to the spool; every caller is told."""
        for waiting in list(batch):
            key = waiting.entry.event_key
            if key is not None and self._backlog.owner_of(key) is not None:
                batch.remove(waiting)
                tell(waiting, DuplicateEvent(key))
        failure = LedgerUnavailable("PostgreSQL is away and the spool is full")
        try:
            count = await self._backlog.put(self._rows(batch), [w.entry for w in batch])
        except SpoolBroken as error:
            count, failure = 0, LedgerUnavailable(f"PostgreSQL is away and {error}")
            may_be_stored = may_be_stored or self._backlog.is_unsure
        self._next_seq += count
        if may_be_stored and count < len(batch):
            self._begin_writer()
        for place, waiting in enumerate(batch):
            tell(waiting, None if place < count else failure)

    def _rows(self, batch: list[Waiting]) -> list[StoredRow]:
        return [
            numbered(waiting.entry, self._writer, seq)
            for seq, waiting in enumerate(batch, self._next_seq)
        ]

    def _go_away(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        self._recovery.begin(error)

    def _come_to(self, connection: Any) -> None:
        self._connection = connection
