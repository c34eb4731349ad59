"""One TCP connection to a Valkey server, from its opening to its loss.

Commands leave in the order of the calls and replies come back in that order. Invariant: a reply
reaches the caller that asked for it or nobody; a caller that stopped waiting never shifts the
replies of the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis

from features.velocity.store import VelocityUnavailable

Command = tuple[str | bytes | int, ...]
Reply = Any  # int, bytes, None, a list of these, or hiredis.ReplyError

GIVE_UP_S = 1.0  # a reply this much later than its deadline: the connection is dead
MAX_PENDING = 1024  # calls in flight; four times what the service admits at once

_NOT_YET = object()

# The first word of an error reply -> the reason given to callers.
_REFUSALS = {
    "LOADING": "loading",
    "OOM": "oom",
    "MOVED": "moved",
    "ASK": "moved",
    "TRYAGAIN": "moved",
    "CLUSTERDOWN": "moved",
    "NOAUTH": "auth",
    "WRONGPASS": "auth",
    "NOPERM": "auth",
    "READONLY": "readonly",
    "MASTERDOWN": "readonly",
    "MISCONF": "readonly",
    "BUSY": "busy",
    "REPLAN": "replan",
}


def refusal(error: hiredis.ReplyError) -> VelocityUnavailable:
    """Say in one word why the server refused a command.

    >>> refusal(hiredis.ReplyError("LOADING server is loading the dataset in memory")).reason
    'loading'
    """
    text = str(error)
    return VelocityUnavailable(_REFUSALS.get(text.partition(" ")[0], "error"), text)


class _Call:
    __slots__ = ("answered", "expected", "future", "late", "replies", "timer")

    def __init__(self, future: asyncio.Future[list[Reply]], expected: int) -> None:
        self.future = future
        self.expected = expected
        self.replies: list[Reply] = []
        self.late = False
        self.answered = False
        self.timer: asyncio.TimerHandle | None = None


class Wire(asyncio.Protocol):
    """One TCP connection from its opening to its loss."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_loss: Callable[[Wire], None]) -> None:
        self._loop = loop
        self._on_loss = on_loss
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        self._pending: deque[_Call] = deque()
        self._transport: asyncio.Transport | None = None
        self.reason = "lost"  # why it ended, once it has

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # always a stream transport here

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_loss(self)
        while self._pending:
            call = self._pending.popleft()
            if call.timer is not None:
                call.timer.cancel()
            if not call.future.done():
                call.future.set_exception(VelocityUnavailable(self.reason, str(exc or "")))

    def data_received(self, data: bytes) -> None:
        reader, pending = self._reader, self._pending
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOT_YET:
                call = pending[0]
                call.replies.append(reply)
                if len(call.replies) == call.expected:
                    pending.popleft()
                    call.answered = True
                    call.timer.cancel()  # type: ignore[union-attr]  # set since the call was sent
                    if not call.future.done():
                        call.future.set_result(call.replies)
        except (hiredis.ProtocolError, IndexError):  # not RESP, or an answer that nobody asked for
            self.abort("protocol")

    def send(self, commands: tuple[Command, ...], timeout_s: float) -> asyncio.Future[list[Reply]]:
        """Write commands at once; the future gets their replies, see `ValkeyConnection.call`."""
        packed = b"".join([hiredis.pack_command(c) for c in commands])  # type: ignore[arg-type]  # stub: 1-tuple
        transport, pending = self._transport, self._pending
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        if transport is None:
            future.set_exception(VelocityUnavailable("lost"))
        elif pending and pending[0].late:  # replies come in order: ours would be later
            future.set_exception(VelocityUnavailable("stalled"))
        elif len(pending) >= MAX_PENDING:
            future.set_exception(VelocityUnavailable("overloaded"))
        else:
            call = _Call(future, len(commands))
            pending.append(call)
            transport.write(packed)
            call.timer = self._loop.call_later(timeout_s, self._expire, call)
        return future

    def _expire(self, call: _Call) -> None:
        if not call.future.done():
            call.late = True
            call.future.set_exception(VelocityUnavailable("timeout"))
            self._loop.call_later(GIVE_UP_S, self._give_up, call)

    def _give_up(self, call: _Call) -> None:
        if not call.answered:
            self.abort("stalled")

    def abort(self, reason: str) -> None:
        """Drop the connection; every call in flight fails with this reason."""
        if self._transport is not None:
            self.reason = reason
            self._transport.abort()
