"""How can several events be under way at once without changing what any of them sees?

An event waits while an earlier one that shares an entity with it is under way, so that every
entity meets its events in their order. Events that share nothing may pass each other; under the
event clock the earlier one then counts as seen a little later. Invariant: results come back in the
order of the events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import orjson

from features.entities import entities_of
from features.event import InvalidEvent, parse_event
from features.tags import MASTER_KEY_BYTES, Tagger, derive_tag_keys
from training.labelled import Json, Labelled

Result = TypeVar("Result")

Entity = tuple[str, str]


class Entities:
    """Tells which entities an event has, by the service's own normalisation."""

    def __init__(self) -> None:
        # Tags are only compared with each other, within this process: any key will do.
        self._tagger = Tagger(derive_tag_keys(bytes(MASTER_KEY_BYTES)))

    def of(self, event: Json) -> set[Entity]:
        """Return kind and tag of each; none for an event that the service will refuse."""
        try:
            return set(entities_of(parse_event(orjson.dumps(event)), self._tagger).items())
        except InvalidEvent:
            return set()


def in_lanes(
    stream: Iterable[Labelled], send: Callable[[Json], Result], lanes: int
) -> Iterator[tuple[Labelled, Result]]:
    """Send the events with up to `lanes` at once and yield them with their results, in order.

    `send` is called in threads. What it raises is raised here, and nothing further is sent.
    """
    waiting: deque[tuple[Labelled, set[Entity], Future[Result]]] = deque()
    entities = Entities()
    with ThreadPoolExecutor(lanes) as pool:
        try:
            for item in stream:
                mine = entities.of(item.event)
                while len(waiting) >= lanes or any(
                    not future.done() and not mine.isdisjoint(theirs)
                    for _, theirs, future in waiting
                ):
                    first, _, future = waiting.popleft()
                    yield first, future.result()
                waiting.append((item, mine, pool.submit(send, item.event)))
            while waiting:
                first, _, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
