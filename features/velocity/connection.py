"""The one connection to a Valkey server that every request of the process shares.

It opens on first use and comes back by itself after every loss; calls made while the server is away
fail at once. No pool and no lock: concurrent calls are pipelined on one wire.

Why not redis-py: sending six packed function calls of five series each and reading the replies cost
the client 57 us of CPU here, 158 us through redis-py's `Connection` and 309 us through its
`Pipeline` (uvloop, repeated events, best of five on a busy two-core machine; building the commands
is not in it). A whole decision may cost 550 us.
"""

from __future__ import annotations

import asyncio

import hiredis

from features.velocity.address import Address, parse_address
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import Command, Reply, Wire, refusal

RETRY_S = 0.25  # between attempts to connect while the server is away
CONNECT_S = 1.0  # TCP, TLS and greeting together
PATIENCE_S = 0.1  # after a loss calls wait this long for the next attempt: a restart takes as long


class ValkeyConnection:
    """A connection that opens on first use and comes back by itself after every loss.

    Belongs to one event loop, that of its first call. While the server is away calls fail at once
    with the reason of the last attempt; attempts go on every 250 ms, with or without calls.
    """

    def __init__(self, place: str | Address) -> None:
        """Name the server, by its URL or its address; nothing is opened yet."""
        self._address = parse_address(place) if isinstance(place, str) else place
        self._wire: Wire | None = None
        self._failure: str | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # set while no attempt is worth waiting for
        self._attempted_at = float("-inf")

    async def call(self, *commands: Command, timeout_s: float) -> list[Reply]:
        """Send commands in one write and return their replies in order.

        An error reply stands in its place as `hiredis.ReplyError`; see `refusal`. Raises
        `VelocityUnavailable` within `timeout_s` when any reply is missing; then each of the
        commands may or may not have been executed.
        """
        wire = self._wire
        if wire is None:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + timeout_s
            wire = await self._reached(timeout_s)
            timeout_s = max(0.0, deadline - loop.time())
        return await wire.send(commands, timeout_s)

    def begin(self, *commands: Command, timeout_s: float) -> asyncio.Future[list[Reply]]:
        """Send commands before this returns, if connected; the future ends as `call` does.

        For callers that ask several servers at once and would pay for a task each.
        """
        if self._wire is None:
            return asyncio.get_running_loop().create_task(self.call(*commands, timeout_s=timeout_s))
        return self._wire.send(commands, timeout_s)

    async def primaries(self, timeout_s: float) -> tuple[ValkeyConnection, ...]:  # noqa: ARG002  # as a cluster has it
        """Return the servers that together hold all keys: this one."""
        return (self,)

    async def ping(self, timeout_s: float) -> None:
        """Return when the server answers; raise `VelocityUnavailable` otherwise."""
        (reply,) = await self.call(("PING",), timeout_s=timeout_s)
        if isinstance(reply, hiredis.ReplyError):
            raise refusal(reply)

    async def close(self) -> None:
        """Drop the connection for good; calls in flight and later ones fail as `closed`."""
        self._failure = "closed"
        self._settled.set()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._wire is not None:
            self._wire.abort("closed")
            self._wire = None
            await asyncio.sleep(0)  # lets the transport report its loss to the calls in flight

    async def _reached(self, timeout_s: float) -> Wire:
        if self._failure != "closed" and (self._connecting is None or self._connecting.done()):
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        if not self._settled.is_set():
            try:
                await asyncio.wait_for(self._settled.wait(), timeout_s)
            except TimeoutError:
                raise VelocityUnavailable("timeout", "still connecting") from None
        if self._wire is None:
            raise VelocityUnavailable(self._failure or "lost")
        return self._wire

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while self._wire is None:
            pause = self._attempted_at + RETRY_S - loop.time()
            if pause > 0:
                self._settled.set()
                await asyncio.sleep(pause)
            self._attempted_at = loop.time()
            try:
                async with asyncio.timeout(CONNECT_S):
                    self._wire = await self._opened(loop)
                self._failure = None
            except VelocityUnavailable as error:
                self._failure = error.reason
            except TimeoutError:
                self._failure = "timeout"
            except (OSError, UnicodeError):  # UnicodeError: a host name that IDNA cannot spell
                self._failure = "refused"
            self._settled.set()

    async def _opened(self, loop: asyncio.AbstractEventLoop) -> Wire:
        address = self._address
        wire = Wire(loop, self._lost)
        if address.path is not None:
            await loop.create_unix_connection(lambda: wire, address.path)
        else:
            await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.tls)
        try:
            replies = await wire.send(tuple(address.greeting()), CONNECT_S)
        except BaseException:
            wire.abort("lost")
            raise
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                wire.abort("lost")
                raise refusal(reply)
        if not wire.is_open:  # lost again before this task ran
            raise VelocityUnavailable("lost")
        return wire

    def _lost(self, wire: Wire) -> None:
        if self._wire is not wire:
            return
        self._wire = None
        loop = asyncio.get_running_loop()
        if wire.reason == "stalled":
            self._failure = wire.reason  # a server that hangs will not greet at once
        else:
            self._settled.clear()
            loop.call_later(PATIENCE_S, self._settled.set)
        self._connecting = loop.create_task(self._connect())
