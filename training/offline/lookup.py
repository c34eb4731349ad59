"""Where in the past of its entity does each event stand, and where does a window begin?

What a series recorded and who asks it are two sorted columns; a window's beginning is found for
all events by one binary search. Invariant: within an entity, recorded times never run backwards,
and an event stands after everything that was recorded before it and before its own record.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Entity and time share one 64-bit key; where they do not fit, times are replaced by their ranks.
_KEY_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Past:
    """What one series recorded, by entity and then in the order of recording.

    `entities` are codes, `times` Unix milliseconds, `values` what was measured (a code for what
    `distinct` tells apart, 1 where the measure needs none).
    """

    entities: Ints
    times: Ints
    values: Ints

    def __len__(self) -> int:
        return len(self.entities)

    def taken(self, places: Ints | Bools) -> Past:
        """Give some of the records."""
        return Past(self.entities[places], self.times[places], self.values[places])


EMPTY = Past(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Asked:
    """The events that read one series, by entity and then in the order of acceptance.

    - `times`: the time at which each reads.
    - `starts`: place in `Past` of the first record of its entity.
    - `before`: place in `Past` after the last record that it sees.
    """

    entities: Ints
    times: Ints
    starts: Ints
    before: Ints

    def __len__(self) -> int:
        return len(self.entities)


class Windows:
    """Finds the beginning of windows, for every event that asks."""

    def __init__(self, past: Past, asked: Asked) -> None:
        self._past = past
        self._asked = asked
        codes, self._groups = np.unique(past.entities, return_inverse=True)
        self._asking = np.searchsorted(codes, asked.entities)
        self._count = len(codes) + 1
        self._first = self._last = 0
        if len(past) and len(asked):
            self._first = int(past.times.min())
            self._last = int(max(past.times.max(), asked.times.max()))

    def starts(self, window_ms: int) -> Ints:
        """Give, for each event, the place of the first record later than its time - `window_ms`.

        The place lies between the event's `starts` and `before`.
        """
        since = self._asked.times - window_ms
        span = self._last - self._first + 2
        if span * self._count < _KEY_LIMIT:
            recorded = self._groups * span + (self._past.times - self._first + 1)
            wanted = self._asking * span + np.maximum(since - self._first + 1, 0)
        else:
            times, ranks = np.unique(self._past.times, return_inverse=True)
            span = len(times) + 1
            recorded = self._groups * span + ranks + 1
            wanted = self._asking * span + np.searchsorted(times, since, side="right")
        found = np.searchsorted(recorded, wanted, side="right")
        return np.clip(found, self._asked.starts, self._asked.before)


def arranged(
    kept: Past, entities: Ints, observed: Ints, values: Ints, is_recorded: Bools, *, in_order: bool
) -> tuple[Past, Asked]:
    """Put what is `kept` from earlier and the events of a chunk into one past, and say who asks.

    The events come by entity and then in the order of acceptance; those that `is_recorded` leave
    `values`. `in_order` says that no event was observed before an earlier one, those of `kept`
    included.
    """
    past = Past(entities, observed, values).taken(is_recorded)
    seen: Ints = np.cumsum(is_recorded, dtype=np.int64) - is_recorded
    if len(kept):
        joined = Past(
            np.concatenate((kept.entities, past.entities)),
            np.concatenate((kept.times, past.times)),
            np.concatenate((kept.values, past.values)),
        )
        past = joined.taken(np.argsort(joined.entities, kind="stable"))
        seen = seen + np.searchsorted(kept.entities, entities, side="right")
    starts = np.searchsorted(past.entities, entities)
    times = observed
    if not in_order:
        past = Past(past.entities, _never_back(past), past.values)
        last = past.times[np.maximum(seen - 1, 0)] if len(past) else observed
        times = np.where(seen > starts, np.maximum(last, observed), observed)
    return past, Asked(entities, times, starts, seen)


def _never_back(past: Past) -> Ints:
    """Give the times of a past as they were recorded: never before the last of the same entity."""
    times, ranks = np.unique(past.times, return_inverse=True)
    base = np.unique(past.entities, return_inverse=True)[1] * (len(times) + 1)
    return times[np.maximum.accumulate(base + ranks) - base]
