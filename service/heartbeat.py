"""Has the velocity store gone back in time?

A server that is restored from an old snapshot, or a replica that takes over behind its primary, has
everything but the last records, its markers included. So each look counts one up in the store: a
number that has been seen before tells that the store forgot, and since when.
Invariant: only what a store has answered is remembered; a store that is away never looks forgetful.
"""

from __future__ import annotations

from collections import deque

from service.store_state import StoreStates, marker_keys

# One server: one number. A cluster: enough for every primary with a sixteenth of the slots.
_OF_A_CLUSTER = 16
REMEMBERED = 3_600  # looks: an hour


class Heartbeat:
    """The numbers that one process has seen."""

    def __init__(self, states: StoreStates, *, is_one_server: bool) -> None:
        self._states = states
        every = len(marker_keys()) // (1 if is_one_server else _OF_A_CLUSTER)
        self._keys = tuple(key.replace(":marker", ":beat") for key in marker_keys()[::every])
        self._seen: deque[tuple[int, list[int]]] = deque(maxlen=REMEMBERED)

    def forget(self) -> None:
        """Begin anew: the store was lost, and everybody knows."""
        self._seen.clear()

    async def beat(self, now_ms: int) -> int | None:
        """Count one up; return the time up to which the store remembers, when it forgot.

        0: longer ago than this process remembers. Raises `VelocityUnavailable`.
        """
        numbers = [int(number) for number in await self._states.count_up(self._keys)]
        forgot = None
        if self._seen and any(map(int.__le__, numbers, self._seen[-1][1])):
            forgot = 0
            while self._seen:
                at_ms, known = self._seen.pop()
                if all(map(int.__lt__, known, numbers)):
                    forgot = at_ms
                    break
            self._seen.clear()
        self._seen.append((now_ms, numbers))
        return forgot
