"""Velocity series in Valkey: one function call per entity, all of an event in one write.

Invariant: nothing but keyed tags, times and amounts leaves this process.
"""

from __future__ import annotations

import hiredis

from features.velocity.connect import Connection
from features.velocity.library import FunctionLibrary
from features.velocity.observation import Observation
from features.velocity.shape import Answer, Shape, shape_of
from features.velocity.wire import Command, refusal

_SHAPES_KEPT = 10_000  # a catalog has some dozens: one per entity kind and event type


class ValkeyVelocityStore:
    """The `VelocityStore` of the running service.

    `REPEAT_MS` also ends by the server's clock, and a key lives for its retention and at least an
    hour more by that clock: a service clock that follows old data must not be slower than real
    time for longer than that.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._library = FunctionLibrary(connection)
        self._function = self._library.name_of("observe")
        self._shapes: dict[tuple[int, ...], Shape] = {}

    async def observe(self, observation: Observation, timeout_s: float) -> Answer:
        event_tag, observed_ms, entities = observation
        now = str(observed_ms)
        shapes: list[Shape] = []
        commands: list[Command] = []
        for kind, tag, series in entities:
            plans = tuple([id(read[0]) for read in series])
            shape = self._shapes.get(plans)
            if shape is None:
                shape = shape_of([read[0] for read in series])
                if len(self._shapes) >= _SHAPES_KEPT:
                    self._shapes.clear()
                self._shapes[plans] = shape
            prefix = f"ts:{{{kind}:{tag}}}:"
            shapes.append(shape)
            commands.append(
                (
                    "FCALL",
                    self._function,
                    len(series) + 1,
                    f"{prefix}r:{event_tag}",
                    *[prefix + name for name in shape.names],
                    shape.text,
                    now,
                    *["" if read[1] is None else read[1] for read in series],
                )
            )
        if not commands:
            return {}
        replies = await self._library.call(commands, timeout_s)
        answer: Answer = {}
        for shape, reply in zip(shapes, replies, strict=True):
            if isinstance(reply, hiredis.ReplyError):
                raise refusal(reply)
            shape.read_into(answer, reply)
        return answer

    async def ping(self, timeout_s: float) -> None:
        await self._connection.ping(timeout_s)

    async def close(self) -> None:
        await self._connection.close()
