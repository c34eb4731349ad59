"""How is the past put back into the velocity store, while events go on being recorded?

History goes into a shadow beside each series; then the shadow takes the place of the series, live
records and all, in one step. Invariant: until that step nobody sees the shadow, and after it the
series answers as if every record had come live, in the order of the positions.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

import hiredis

from features.velocity.connect import Connection
from features.velocity.library import FunctionLibrary
from features.velocity.observation import SeriesPlan
from features.velocity.shape import Answer, record_text, shape_of
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import Command, Reply, refusal

SHADOW_IDLE_S = 86_400  # a shadow that nothing was added to for so long is gone (history.lua)
_WRITES_A_CALL = 250  # about 1 ms of the server, which decisions wait for
_CALLS_AT_ONCE = 64  # so that decisions of others get in between
_LOOK_S = 5.0  # for one step of a search for shadows
_SHADOW_KEY = re.compile(r"tsh:\{([^:]*):(.*)\}:([^:]*)")


class HistoryWrite(NamedTuple):
    """One record of the past: `value` as in `SeriesRead`, but never None.

    `position` orders the writes of one series; it is 0 or more.
    """

    kind: str
    tag: str
    plan: SeriesPlan
    position: int
    observed_ms: int
    value: int | str


class SeriesState(NamedTuple):
    """What one series of one entity holds.

    `answers` are those that an event at the given time would get. `thinned` says whether windows
    may be up to 1/256 short; of `min` and `max` it can only be told while thinning is under way,
    and of `distinct` it says that the most values are kept. `size_bytes` is 0 where the server does
    not let us ask.
    """

    answers: Answer
    members: int
    size_bytes: int
    first_ms: int | None
    last_ms: int | None
    thinned: bool


class VelocityHistory(Protocol):
    """Bulk writes of past records into series that are in use, and a look at a series."""

    async def append(self, writes: Sequence[HistoryWrite], timeout_s: float) -> None:
        """Add records to the shadows of their series, in the order of their positions.

        Guaranteed: a write at a position up to the last one of its shadow is skipped, so the same
        chunk may come again, whole or in part, also after a failure; live series are not touched.
        A shadow is forgotten when nothing comes for 24 h, and then begins anew.

        Fails with `VelocityUnavailable` within `timeout_s`; then some writes may be in and others
        not. Not to be assumed: that chunks of one series may come in any order.
        """
        ...

    async def merge(
        self, kind: str, tag: str, plan: SeriesPlan, cut_ms: int, timeout_s: float
    ) -> None:
        """Put the shadow in the place of its series, followed by live records after `cut_ms`.

        Atomic: every live record is there once, before or after. Live records up to `cut_ms` are
        dropped, as the shadow has them. Without a shadow nothing changes, so a repeat is harmless.
        When thinning took live members around `cut_ms`, what they counted may be dropped too.
        Fails with `VelocityUnavailable`; then it is done or not, and may be repeated.
        """
        ...

    def shadows(self) -> AsyncIterator[tuple[str, str, str]]:
        """Yield kind, tag and series name of the shadows; each at least once that stays.

        Shadows that come or go meanwhile may be missed. Fails with `VelocityUnavailable`.
        """
        ...

    async def drop_shadows(self) -> None:
        """Forget all shadows. Fails with `VelocityUnavailable`; then some may be left."""
        ...

    async def peek(
        self, kind: str, tag: str, plan: SeriesPlan, now_ms: int, timeout_s: float
    ) -> SeriesState:
        """Tell what a series holds, recording nothing. Fails with `VelocityUnavailable`."""
        ...


class ValkeyVelocityHistory:
    """The `VelocityHistory` of a `ValkeyVelocityStore` on the same server or cluster.

    Keys of a shadow: `tsh:{kind:tag}:series` and, up to where history is in it,
    `tsp:{kind:tag}:series`; both in the slot of the series.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._library = FunctionLibrary(connection)

    async def append(self, writes: Sequence[HistoryWrite], timeout_s: float) -> None:
        series: dict[tuple[str, str, str], list[HistoryWrite]] = {}
        for write in writes:
            series.setdefault((write.kind, write.tag, write.plan.name), []).append(write)
        function = self._library.name_of("append")
        commands: list[Command] = []
        for (kind, tag, name), its_writes in series.items():
            its_writes.sort(key=_position)
            text = record_text(its_writes[0].plan)
            entity = f"{{{kind}:{tag}}}:{name}"
            for start in range(0, len(its_writes), _WRITES_A_CALL):
                words: list[str | int] = []
                for write in its_writes[start : start + _WRITES_A_CALL]:
                    words += (write.position, write.observed_ms, write.value)
                keys = (f"tsh:{entity}", f"tsp:{entity}")
                commands.append(("FCALL", function, 2, *keys, text, *words))
        await self._all(commands, timeout_s)

    async def merge(
        self, kind: str, tag: str, plan: SeriesPlan, cut_ms: int, timeout_s: float
    ) -> None:
        entity = f"{{{kind}:{tag}}}:{plan.name}"
        keys = (f"ts:{entity}", f"tsh:{entity}", f"tsp:{entity}")
        function = self._library.name_of("merge")
        await self._all([("FCALL", function, 3, *keys, record_text(plan), cut_ms)], timeout_s)

    async def shadows(self) -> AsyncIterator[tuple[str, str, str]]:
        async for keys in self._keys("tsh:*"):
            for key in keys:
                if match := _SHADOW_KEY.fullmatch(key.decode()):
                    yield match[1], match[2], match[3]

    async def drop_shadows(self) -> None:
        # Positions first: a shadow without one is void, whatever fails in between.
        for pattern in ("tsp:*", "tsh:*"):
            async for keys in self._keys(pattern):
                unlink: list[Command] = [("UNLINK", key) for key in keys]
                for reply in await self._connection.call(*unlink, timeout_s=_LOOK_S):
                    if isinstance(reply, hiredis.ReplyError):
                        raise refusal(reply)

    async def peek(
        self, kind: str, tag: str, plan: SeriesPlan, now_ms: int, timeout_s: float
    ) -> SeriesState:
        shape = shape_of([plan])
        key = f"ts:{{{kind}:{tag}}}:{plan.name}"
        command = ("FCALL", self._library.name_of("peek"), 1, key, shape.text, now_ms)
        (reply,) = await self._all([command], timeout_s)
        answers: Answer = {}
        try:
            values, members, size_bytes, first_ms, last_ms, thinned = reply
        except (TypeError, ValueError):
            raise VelocityUnavailable("protocol", "not an answer of our function") from None
        shape.read_into(answers, values)
        return SeriesState(answers, members, size_bytes, first_ms, last_ms, bool(thinned))

    async def _all(self, commands: list[Command], timeout_s: float) -> list[Reply]:
        """Run function calls, some at a time, all within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        replies: list[Reply] = []
        for start in range(0, len(commands), _CALLS_AT_ONCE):
            some = commands[start : start + _CALLS_AT_ONCE]
            left_s = max(0.0, deadline - time.monotonic())
            for reply in await self._library.call(some, left_s):
                if isinstance(reply, hiredis.ReplyError):
                    raise refusal(reply)
                replies.append(reply)
        return replies

    async def _keys(self, pattern: str) -> AsyncIterator[list[bytes]]:
        for server in await self._connection.primaries(_LOOK_S):
            cursor = b"0"
            while True:
                scan = ("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
                (reply,) = await server.call(scan, timeout_s=_LOOK_S)
                if isinstance(reply, hiredis.ReplyError):
                    raise refusal(reply)
                cursor, keys = reply
                if keys:
                    yield keys
                if cursor == b"0":
                    break


def _position(write: HistoryWrite) -> int:
    return write.position
