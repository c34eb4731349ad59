"""What does the velocity store say about itself: is it the one that counted all along?

The wire format, in Valkey, without identifiers:

- `ts:{alive:N}:marker`, 64 of them, each in another 64th of the hash slots: the id of the store's
  life. A server of a cluster that came back empty lost some, a lost or cleared store all of them.
- `ts:{alive:N}:beat`, of one or sixteen of them: a number that only grows (`heartbeat.py`).
- `ts:{know}:state`, a hash: `life`, the id that every marker must have; `series:NAME`, for a series
  that is complete: `<definition> <complete since, ms> <kept, ms>`; `missed` and `missed_since_ms`,
  events of the ledger that the counters may lack, because the store did not answer in time.

Invariant: whoever writes here says only what is so; where two writers race, the reader sees the
store as incomplete, never as complete by mistake.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import hiredis

from features.velocity.connect import Connection
from features.velocity.slots import SLOTS, slot_of
from features.velocity.wire import Command, Reply, refusal

STATE_KEY = "ts:{know}:state"
MARKERS = 64
_SERIES = "series:"


class Known(NamedTuple):
    """A series that is complete: by which definition, since when, and for how long it is kept."""

    definition: str
    since_ms: int
    kept_ms: int


class StoreState(NamedTuple):
    """What the store says; `markers[i]` is None where one is missing."""

    life: str | None
    markers: tuple[str | None, ...]
    series: Mapping[str, Known]
    missed: int
    missed_since_ms: int | None

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the store was lost since its life began."""
        return self.life is not None and all(marker == self.life for marker in self.markers)

    @property
    def is_blank(self) -> bool:
        """Whether the whole store is new or was cleared."""
        return not any(self.markers)


class StoreStates:
    """Reads and writes the state. Every method raises `VelocityUnavailable`."""

    def __init__(self, connection: Connection, timeout_s: float = 0.5) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    async def read(self) -> StoreState:
        """Return what the store says now."""
        fields, *markers = await self.call(
            ("HGETALL", STATE_KEY), *[("GET", key) for key in marker_keys()]
        )
        texts = [bytes(item).decode() for item in fields]
        state = dict(zip(texts[::2], texts[1::2], strict=True))
        series = {
            name.removeprefix(_SERIES): known
            for name, text in state.items()
            if name.startswith(_SERIES) and (known := _known(text)) is not None
        }
        since = state.get("missed_since_ms")
        return StoreState(
            life=state.get("life"),
            markers=tuple(None if marker is None else bytes(marker).decode() for marker in markers),
            series=series,
            missed=int(state.get("missed", 0)),
            missed_since_ms=None if since is None else int(since),
        )

    async def begin(self, series: Mapping[str, Known]) -> None:
        """Begin the life of a store that has nothing to remember; several may do so at once."""
        await self.call(("HSETNX", STATE_KEY, "life", new_id()))
        [life] = await self.call(("HGET", STATE_KEY, "life"))
        if life is not None:
            await self.complete(series)
            await self.mark(bytes(life).decode())

    async def complete(self, series: Mapping[str, Known]) -> None:
        """Say that these series are complete."""
        if series:
            pairs = [
                word
                for name, known in series.items()
                for word in (_SERIES + name, " ".join(map(str, known)))
            ]
            await self.call(("HSET", STATE_KEY, *pairs))

    async def incomplete(self, names: Sequence[str]) -> None:
        """Say that these series are not complete: they are not recorded as they were."""
        if names:
            await self.call(("HDEL", STATE_KEY, *[_SERIES + name for name in names]))

    async def mark(self, value: str) -> None:
        """Set every marker."""
        await self.call(*[("SET", key, value) for key in marker_keys()])

    async def pass_on(self, held: str, value: str) -> bool:
        """Set every marker that is there; say whether each of them was there and had `held`."""
        replies = await self.call(*[("SET", key, value, "XX", "GET") for key in marker_keys()])
        return all(reply == held.encode() for reply in replies)

    async def start_life(self, life: str) -> None:
        """Name the life that markers must show."""
        await self.call(("HSET", STATE_KEY, "life", life))

    async def add_missed(self, count: int, since_ms: int) -> None:
        """Note that counters may lack events that the ledger has; a negative number: no more."""
        _, total = await self.call(
            ("HSETNX", STATE_KEY, "missed_since_ms", since_ms),
            ("HINCRBY", STATE_KEY, "missed", count),
        )
        if total <= 0:
            await self.call(("HDEL", STATE_KEY, "missed", "missed_since_ms"))

    async def end_life(self) -> None:
        """Say that the store is lost, though its markers are there."""
        await self.call(("HDEL", STATE_KEY, "life"))

    async def count_up(self, keys: Sequence[str]) -> list[Reply]:
        """Add one to each of the numbers and return them."""
        return await self.call(*[("INCR", key) for key in keys])

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete keys."""
        await self.call(*[("DEL", key) for key in keys])

    async def call(self, *commands: Command) -> list[Reply]:
        """Send commands; an error reply to any of them is raised."""
        replies = await self._connection.call(*commands, timeout_s=self._timeout_s)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise refusal(reply)
        return replies


def new_id() -> str:
    """Return a random id for a life or a job."""
    return secrets.token_hex(8)


@cache
def marker_keys() -> tuple[str, ...]:
    """Return the key of each marker, one in every 64th of the hash slots."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < MARKERS:
        key = f"ts:{{alive:{number}}}:marker"
        found.setdefault(slot_of(key) * MARKERS // SLOTS, key)
        number += 1
    return tuple(found[part] for part in range(MARKERS))


def _known(text: str) -> Known | None:
    try:
        definition, since_ms, kept_ms = text.split(" ")
        return Known(definition, int(since_ms), int(kept_ms))
    except ValueError:  # another release's: not complete as far as this one can tell
        return None
