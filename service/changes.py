"""What did other processes change in the database, and who wants to know?

PostgreSQL notifies; every half second is looked at in any case, so that a lost notification or
connection delays and loses nothing. Invariant: a follower is called after each change, soon, and a
follower that fails is called again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import asyncpg

log = logging.getLogger(__name__)

Refresh = Callable[[Any], Awaitable[None]]
POLL_SECONDS = 0.5
CONNECT_SECONDS = 5.0
REFRESH_SECONDS = 30.0


class Changes:
    """Follows one database on a connection of its own; use as an async context manager."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._followers: dict[str, Refresh] = {}
        self._connection: Any = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing: set[str] = set()

    def follow(self, channel: str, refresh: Refresh) -> None:
        """Call `refresh(connection)` after each NOTIFY on the channel, and every half second.

        It must be cheap when nothing changed. What it raises is logged once, and it is called
        again. Calls never overlap. Follow before the block is entered, or later.
        """
        self._followers[channel] = refresh
        self._changed.set()
        if self._connection is not None:
            self._connection.terminate()  # the next turn listens to every channel
            self._connection = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="changes")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it may be broken already: nothing is lost
                await connection.close(timeout=1)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            for channel, refresh in list(self._followers.items()):
                await self._call(channel, refresh)

    async def _call(self, channel: str, refresh: Refresh) -> None:
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await refresh(await self._listening())
        except Exception as error:  # whatever it is, the next turn may fare better
            if channel not in self._failing:
                is_away = isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError)
                log.warning(
                    "%s is not followed, the last known holds: %s",
                    channel,
                    type(error).__name__,
                    exc_info=None if is_away else error,
                )
            self._failing.add(channel)
            if self._connection is not None and self._connection.is_closed():
                self._connection = None
        else:
            if channel in self._failing:
                log.warning("%s is followed again", channel)
            self._failing.discard(channel)

    async def _listening(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._dsn, timeout=CONNECT_SECONDS)
            for channel in self._followers:
                await self._connection.add_listener(channel, self._notified)
        return self._connection

    def _notified(self, *_: object) -> None:
        self._changed.set()
