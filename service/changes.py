"""What did other processes change in the database, and who wants to know?

PostgreSQL notifies; every half second is looked at in any case, so that a lost notification or
connection delays and loses nothing. Invariants: a follower is called after each change, soon, and a
follower that fails is called again; one that is slow, or waits in a query, delays no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import asyncpg

from service.ledger.drain import AWAY

log = logging.getLogger(__name__)

Refresh = Callable[[Any], Awaitable[None]]
POLL_SECONDS = 0.5
CONNECT_SECONDS = 5.0
REFRESH_SECONDS = 30.0


class Changes:
    """Follows one database; use as an async context manager."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._followers: list[_Follower] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._is_open = False

    def follow(self, channel: str, refresh: Refresh) -> None:
        """Call `refresh(connection)` after each NOTIFY on the channel, and every half second.

        It must be cheap when nothing changed. What it raises is logged once, and it is called
        again. Its calls never overlap one another; calls of several followers do, each with a
        connection of its own. Follow before the block is entered, or later.
        """
        follower = _Follower(self._dsn, channel, refresh)
        self._followers.append(follower)
        if self._is_open:
            self._start(follower)

    async def __aenter__(self) -> Self:
        self._is_open = True
        for follower in self._followers:
            self._start(follower)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, follower: _Follower) -> None:
        name = f"changes of {follower.channel}"
        self._tasks.append(asyncio.create_task(follower.run(), name=name))


class _Follower:
    """Calls one `Refresh`, again and again, with a connection that listens to its channel."""

    def __init__(self, dsn: str, channel: str, refresh: Refresh) -> None:
        self.channel = channel
        self._dsn = dsn
        self._refresh = refresh
        self._connection: Any = None
        self._changed = asyncio.Event()
        self._fails = False

    async def run(self) -> None:
        try:
            while True:
                self._changed.clear()  # what is notified during the call is looked at after it
                await self._call()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._changed.wait()
        finally:
            if self._connection is not None:
                with contextlib.suppress(Exception):  # it may be broken already: nothing is lost
                    await self._connection.close(timeout=1)

    async def _call(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._refresh(await self._listening())
        except Exception as error:  # whatever it is, the next turn may fare better
            is_away = isinstance(error, AWAY)
            if is_away and self._connection is not None:
                self._connection.terminate()  # the next turn makes another, and listens on it
            if not self._fails:
                log.warning(
                    "%s is not followed, the last known holds: %s",
                    self.channel,
                    type(error).__name__,
                    exc_info=None if is_away else error,
                )
            self._fails = True
        else:
            if self._fails:
                log.warning("%s is followed again", self.channel)
            self._fails = False

    async def _listening(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            connection = await asyncpg.connect(self._dsn, timeout=CONNECT_SECONDS)
            self._connection = connection
            await connection.add_listener(self.channel, self._notified)
        return self._connection

    def _notified(self, *_: object) -> None:
        self._changed.set()
