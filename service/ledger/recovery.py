"""How does a writer come back to PostgreSQL?

It connects, brings in the spools of dead writers and its own, and only then lets new entries go to
the table again. Invariant: for the last step, and only for it, no batch is under way, so the
numbers reach the table in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from service.background import Background
from service.ledger.backlog import Backlog
from service.ledger.drain import AWAY, Drained, at_most, connect, drain, drain_leftovers
from service.ledger.keys import Keyring

log = logging.getLogger(__name__)

# The last step keeps callers waiting: it begins when this little is left, about 10 ms.
LAST_STEP_BYTES = 128 * 1024
# How long the last step may take, at first and at most: it doubles each time it was too short.
LAST_STEP_SECONDS = (0.05, 1.0)
RETRY_SECONDS = (0.05, 2.0)
# A check reads some hundred rows.
CHECK_SECONDS = 5.0


class WriterSettings(NamedTuple):
    """Where a writer writes. `spool_max_bytes=0`: no spool.

    `check` is asked about each connection before anything is written to it, and raises when the
    database may not be written to.
    """

    dsn: str
    log: str
    spool_dir: Path
    spool_max_bytes: int = 64 * 1024 * 1024
    check: Callable[[Any], Awaitable[None]] | None = None


class Recovery:
    """The way back of one writer. `arrived` is called with the connection, in the last step."""

    def __init__(
        self,
        settings: WriterSettings,
        ring: Keyring,
        backlog: Backlog,
        slot: asyncio.Lock,
        arrived: Callable[[Any], None],
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._backlog = backlog
        self._slot = slot
        self._arrived = arrived
        self._trying = Background("ledger-recovery")
        self._last_step_seconds = LAST_STEP_SECONDS[0]
        self.drained = Drained()
        self.last_error: str | None = None

    def begin(self, cause: Exception) -> None:
        """Try in the background until it works."""
        self._note_error(cause)
        log.warning("entries go to the spool: %s", self.last_error)
        if not self._trying.is_running:
            self._trying.start(self._run())

    async def stop(self) -> None:
        """Stop trying."""
        await self._trying.end()

    async def come_back(self) -> None:
        """Try once; raises what `connect` and `drain` raise, and leaves what was not drained."""
        connection = await connect(self._settings.dsn, self._ring)
        try:
            if self._settings.check is not None:
                async with at_most(connection, CHECK_SECONDS):
                    await self._settings.check(connection)
            self.drained = self.drained.plus(
                await drain_leftovers(connection, self._ring, self._settings.spool_dir)
            )
            place, damaged = await self._drain_most(connection)
            async with self._slot:
                await self._last_step(connection, place, damaged)
                self._arrived(connection)
        except BaseException:
            connection.terminate()
            raise
        self.last_error = None

    async def _drain_most(self, connection: Any) -> tuple[int | None, int]:
        spool, place, damaged = self._backlog.spool, None, 0
        before: int | None = None
        while spool is not None and (left := spool.end - (place or 0)) > LAST_STEP_BYTES:
            if before is not None and left > before / 2:
                # Callers fill it nearly as fast: one batch in for each transaction out.
                async with self._slot:
                    drained, place = await drain(connection, self._ring, spool, place, once=True)
            else:
                drained, place = await drain(connection, self._ring, spool, place)
            before = left
            self.drained = self.drained.plus(drained)
            damaged += drained.damaged
        return place, damaged

    async def _last_step(self, connection: Any, place: int | None, damaged: int) -> None:
        spool = self._backlog.spool
        if spool is None:
            return
        try:
            async with at_most(connection, self._last_step_seconds):
                drained, _ = await drain(connection, self._ring, spool, place)
        except AWAY:
            self._last_step_seconds = min(self._last_step_seconds * 2, LAST_STEP_SECONDS[1])
            raise
        self._last_step_seconds = LAST_STEP_SECONDS[0]
        self.drained = self.drained.plus(drained)
        await self._backlog.clear(damaged=damaged + drained.damaged > 0)

    async def _run(self) -> None:
        pause, longest = RETRY_SECONDS
        while True:
            try:
                await self.come_back()
            except Exception as error:  # whatever it is, the spool takes entries until it is gone
                self._note_error(error)
                if not isinstance(error, AWAY):
                    log.exception("the way back to PostgreSQL is blocked")
            else:
                log.info("entries go to PostgreSQL again")
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    def _note_error(self, error: Exception) -> None:
        # Only the first line: the details of a server's error quote rows.
        self.last_error = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
