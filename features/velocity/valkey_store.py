"""Velocity series in Valkey: one function call per entity, all of an event in one write.

The function library is named after the hash of its own text, so a server that knows the name has
this very text, and two releases can share one server. Invariant: nothing but keyed tags, times and
amounts leaves this process.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import NamedTuple

import hiredis

from features.velocity.connection import ValkeyConnection
from features.velocity.observation import Observation, SeriesPlan, SeriesRead
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import Command, Reply, refusal

_MEASURES = {"count": "c", "sum": "s", "distinct": "d", "first_seen": "f", "last_seen": "l"}
_SHAPES_KEPT = 10_000  # a catalog has some dozens: one per entity kind and event type


class _Shape(NamedTuple):
    """What every observation with the same series plans has in common."""

    plans: tuple[SeriesPlan, ...]  # held, so that an id() never comes to mean another plan
    names: tuple[str, ...]
    text: str
    features: tuple[str, ...]
    seen: tuple[str, ...]


class ValkeyVelocityStore:
    """The `VelocityStore` of the running service.

    `REPEAT_MS` also ends by the server's clock, and a key lives for its retention and at least an
    hour more by that clock: a service clock that follows old data must not be slower than real
    time for longer than that.
    """

    def __init__(self, connection: ValkeyConnection) -> None:
        self._connection = connection
        source = Path(__file__).with_name("velocity.lua").read_text(encoding="utf-8")
        version = hashlib.sha256(source.encode()).hexdigest()[:12]
        self._library = source.replace("@VERSION@", version)
        self._function = f"ts_observe_{version}"
        self._shapes: dict[tuple[int, ...], _Shape] = {}

    async def observe(self, observation: Observation, timeout_s: float) -> dict[str, int | float]:
        event_tag, observed_ms, entities = observation
        now = str(observed_ms)
        shapes: list[_Shape] = []
        commands: list[Command] = []
        for kind, tag, series in entities:
            shape = self._shapes.get(tuple([id(read[0]) for read in series]))
            if shape is None:
                shape = self._shape(series)
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
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        replies = await self._connection.call(*commands, timeout_s=timeout_s)
        if any(map(_is_missing, replies)):
            replies = await self._again(commands, replies, max(0.0, deadline - loop.time()))
        answer: dict[str, int | float] = {}
        for shape, reply in zip(shapes, replies, strict=True):
            if isinstance(reply, hiredis.ReplyError):
                raise refusal(reply)
            try:
                answer.update(zip(shape.features, reply, strict=True))
            except (TypeError, ValueError):
                raise VelocityUnavailable("protocol", "not an answer of our function") from None
            for name in shape.seen:
                if answer[name] < 0:
                    del answer[name]
                else:
                    answer[name] /= 1000
        return answer

    async def ping(self, timeout_s: float) -> None:
        await self._connection.ping(timeout_s)

    async def close(self) -> None:
        await self._connection.close()

    async def _again(
        self, commands: list[Command], replies: list[Reply], timeout_s: float
    ) -> list[Reply]:
        """Load the library and repeat what missed it: the server is new or was flushed."""
        missed = [i for i, reply in enumerate(replies) if _is_missing(reply)]
        load = ("FUNCTION", "LOAD", "REPLACE", self._library)
        loaded, *again = await self._connection.call(
            load, *[commands[i] for i in missed], timeout_s=timeout_s
        )
        if isinstance(loaded, hiredis.ReplyError):
            raise refusal(loaded)
        replies = list(replies)
        for i, reply in zip(missed, again, strict=True):
            replies[i] = reply
        return replies

    def _shape(self, series: tuple[SeriesRead, ...]) -> _Shape:
        plans = tuple(read.plan for read in series)
        parts: list[str] = []
        features: list[str] = []
        seen: list[str] = []
        for plan in plans:
            measure = _MEASURES[plan.measure]
            numbers = [plan.retention_ms]
            if measure in "fl":
                seen.append(plan.features[0])
                features.append(plan.features[0])
            else:
                for window_ms, name in sorted(zip(plan.windows_ms, plan.features, strict=True)):
                    numbers.append(window_ms)
                    features.append(name)
            parts.append("|" + measure + ",".join(map(str, numbers)))
        text = "".join(parts)
        digest = hashlib.sha256((text + " ".join(features)).encode()).hexdigest()[:8]
        shape = _Shape(
            plans,
            tuple(plan.name for plan in plans),
            digest + text,
            tuple(features),
            tuple(seen),
        )
        if len(self._shapes) >= _SHAPES_KEPT:
            self._shapes.clear()
        self._shapes[tuple([id(plan) for plan in plans])] = shape
        return shape


def _is_missing(reply: Reply) -> bool:
    return type(reply) is hiredis.ReplyError and "Function not found" in str(reply)
