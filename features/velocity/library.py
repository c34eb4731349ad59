"""The functions that run inside the Valkey server, and how a server learns them.

The library is named after the hash of its own text, so a server that knows the name has this very
text, and two releases can share one server.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import hiredis

from features.velocity.connect import Connection
from features.velocity.store import FINENESS, MOST_MEMBERS, MOST_VALUES, REPEAT_MS
from features.velocity.wire import Command, Reply, refusal

_FILES = ("velocity.lua", "observe.lua", "history.lua")  # one text; the first names the library
_CONSTANTS = {
    "FINENESS": FINENESS,
    "MOST_MEMBERS": MOST_MEMBERS,
    "MOST_VALUES": MOST_VALUES,
    "REPEAT_MS": REPEAT_MS,
}


class FunctionLibrary:
    """Calls of our functions through one connection; servers that lack them are taught."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        here = Path(__file__).parent
        source = "\n".join((here / name).read_text(encoding="utf-8") for name in _FILES)
        for word, number in _CONSTANTS.items():
            source = source.replace(f"@{word}@", str(number))
        self._version = hashlib.sha256(source.encode()).hexdigest()[:12]
        self._text = source.replace("@VERSION@", self._version)

    def name_of(self, function: str) -> str:
        """Give the name that the server knows a function of the library by."""
        return f"ts_{function}_{self._version}"

    async def call(self, commands: list[Command], timeout_s: float) -> list[Reply]:
        """Send function calls in one write and return their replies in order.

        Fails like `Connection.call`; a call that found no function has been repeated.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        replies = await self.connection.call(*commands, timeout_s=timeout_s)
        if any(map(_is_missing, replies)):
            replies = await self._again(commands, replies, max(0.0, deadline - loop.time()))
        return replies

    async def _again(
        self, commands: list[Command], replies: list[Reply], timeout_s: float
    ) -> list[Reply]:
        """Load the library and repeat what missed it: the server is new or was flushed."""
        missed = [i for i, reply in enumerate(replies) if _is_missing(reply)]
        load = ("FUNCTION", "LOAD", "REPLACE", self._text)
        loaded, *again = await self.connection.call(
            load, *[commands[i] for i in missed], timeout_s=timeout_s
        )
        if isinstance(loaded, hiredis.ReplyError):
            raise refusal(loaded)
        replies = list(replies)
        for i, reply in zip(missed, again, strict=True):
            replies[i] = reply
        return replies


def _is_missing(reply: Reply) -> bool:
    return type(reply) is hiredis.ReplyError and "Function not found" in str(reply)
