"""One series of one entity in this process: the past as sorted lists, one class per measure.

Nothing is thinned here: training sees exact windows where a hot key in Valkey answers for windows
up to 1/256 shorter. Only `Distinct` is bounded, as it must be to answer alike.
Invariant of every class: `times` is sorted and keeps the last time recorded; `observe` reads before
it records.

>>> from types import SimpleNamespace
>>> hour = SimpleNamespace(windows_ms=(3_600_000,), features=("device_orders_1h",))
>>> orders, answer = Count(retention_ms=3_600_000), {}
>>> for t in (0, 0, 3_599_999, 3_600_000):
...     orders.observe(hour, t, 1, answer)
...     answer["device_orders_1h"]
0
1
2
1
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from features.velocity.observation import SeriesPlan
from features.velocity.store import MOST_VALUES

Answer = dict[str, int | float]

_TRIM_AT = 512  # stale members; fewer are not worth the move


class _Unread(NamedTuple):
    """A plan that reads no window, to record only."""

    name: str = ""
    measure: str = ""
    windows_ms: tuple[int, ...] = ()
    features: tuple[str, ...] = ("",)
    retention_ms: int = 0


UNREAD = _Unread()


class Count:
    """How many events in a window: those later than its start."""

    __slots__ = ("retention_ms", "times")

    def __init__(self, retention_ms: int) -> None:
        self.retention_ms = retention_ms
        self.times: list[int] = []

    def observe(self, plan: SeriesPlan, now: int, value: int | str | None, answer: Answer) -> None:
        times = self.times
        t = times[-1] if times and times[-1] > now else now
        size = len(times)
        for window_ms, name in zip(plan.windows_ms, plan.features):  # noqa: B905 - 0.1 us a series
            answer[name] = size - bisect_right(times, t - window_ms)
        if value is not None:
            times.append(t)
            if size > _TRIM_AT and times[_TRIM_AT] <= t - self.retention_ms:
                self._trim(t)

    @property
    def first_ms(self) -> int | None:
        return self.times[0] if self.times else None

    def follow(self, live: Count, cut_ms: int) -> None:
        """Add what a series of the same measure recorded after `cut_ms`."""
        for t, value in live._later(bisect_right(live.times, cut_ms)):
            self.observe(UNREAD, t, value, {})

    def _later(self, first: int) -> Iterable[tuple[int, int | str]]:
        """Records from the given place on, in their order."""
        return [(t, 1) for t in self.times[first:]]

    def _stale(self, t: int) -> int:
        """How many of the oldest to drop; 0 while moving the rest would cost more than it frees."""
        stale = bisect_right(self.times, t - self.retention_ms)
        return stale if 2 * stale >= len(self.times) else 0

    def _trim(self, t: int) -> None:
        del self.times[: self._stale(t)]


class Sum(Count):
    """The amounts in a window: the total less the total before its first event."""

    __slots__ = ("totals",)

    def __init__(self, retention_ms: int) -> None:
        super().__init__(retention_ms)
        self.totals = [0]  # totals[i] is the total before times[i]

    def observe(self, plan: SeriesPlan, now: int, value: int | str | None, answer: Answer) -> None:
        times, totals = self.times, self.totals
        t = times[-1] if times and times[-1] > now else now
        total = totals[-1]
        for window_ms, name in zip(plan.windows_ms, plan.features):  # noqa: B905 - 0.1 us a series
            answer[name] = total - totals[bisect_right(times, t - window_ms)]
        if value is not None:
            times.append(t)
            totals.append(total + int(value))
            if len(times) > _TRIM_AT and times[_TRIM_AT] <= t - self.retention_ms:
                self._trim(t)

    def _later(self, first: int) -> Iterable[tuple[int, int | str]]:
        totals = self.totals
        return [(t, totals[i + 1] - totals[i]) for i, t in enumerate(self.times[first:], first)]

    def _trim(self, t: int) -> None:
        stale = self._stale(t)
        del self.times[:stale]
        del self.totals[:stale]


class Mean(Sum):
    """The amounts in a window divided by how many they are; nothing over an empty window."""

    __slots__ = ()

    def observe(self, plan: SeriesPlan, now: int, value: int | str | None, answer: Answer) -> None:
        times, totals = self.times, self.totals
        t = times[-1] if times and times[-1] > now else now
        total, size = totals[-1], len(times)
        for window_ms, name in zip(plan.windows_ms, plan.features):  # noqa: B905 - 0.1 us a series
            first = bisect_right(times, t - window_ms)
            if first < size:
                answer[name] = (total - totals[first]) / (size - first)
        if value is not None:
            times.append(t)
            totals.append(total + int(value))
            if size > _TRIM_AT and times[_TRIM_AT] <= t - self.retention_ms:
                self._trim(t)


class Max(Count):
    """The greatest amount in a window: that of its first member.

    Kept are only the amounts that are greater than all later ones, in times and values alike.
    """

    __slots__ = ("values",)
    side = 1

    def __init__(self, retention_ms: int) -> None:
        super().__init__(retention_ms)
        self.values: list[int] = []

    def observe(self, plan: SeriesPlan, now: int, value: int | str | None, answer: Answer) -> None:
        times, values = self.times, self.values
        t = times[-1] if times and times[-1] > now else now
        size = len(times)
        for window_ms, name in zip(plan.windows_ms, plan.features):  # noqa: B905 - 0.1 us a series
            first = bisect_right(times, t - window_ms)
            if first < size:
                answer[name] = values[first]
        if value is not None:
            amount, side = int(value), self.side
            while values and side * values[-1] <= side * amount:
                values.pop()
                times.pop()
            times.append(t)
            values.append(amount)
            if size > _TRIM_AT and len(times) > _TRIM_AT:
                self._trim(t)

    def _later(self, first: int) -> Iterable[tuple[int, int | str]]:
        return zip(self.times[first:], self.values[first:], strict=True)

    def _trim(self, t: int) -> None:
        stale = self._stale(t)
        del self.times[:stale]
        del self.values[:stale]


class Min(Max):
    """The least amount in a window."""

    __slots__ = ()
    side = -1


class Distinct(Count):
    """How many values in a window, up to `MOST_VALUES`: those seen last after its start."""

    __slots__ = ("last_of",)

    def __init__(self, retention_ms: int) -> None:
        super().__init__(retention_ms)
        self.last_of: dict[str, int] = {}  # in the order of `times`: re-inserted when seen again

    def observe(self, plan: SeriesPlan, now: int, value: int | str | None, answer: Answer) -> None:
        times = self.times
        t = times[-1] if times and times[-1] > now else now
        size = len(times)
        for window_ms, name in zip(plan.windows_ms, plan.features):  # noqa: B905 - 0.1 us a series
            found = size - bisect_right(times, t - window_ms)
            answer[name] = min(MOST_VALUES, found)
        if value is not None:
            tag = str(value)
            last = self.last_of.pop(tag, None)
            if last is not None:
                del times[bisect_left(times, last)]  # any of equal times will do
            self.last_of[tag] = t
            times.append(t)
            if size > 2 * MOST_VALUES:
                self._drop(size - MOST_VALUES)
            elif size > _TRIM_AT and times[_TRIM_AT] <= t - self.retention_ms:
                self._drop(self._stale(t))

    def _later(self, first: int) -> Iterable[tuple[int, int | str]]:
        return [(t, value) for value, t in islice(self.last_of.items(), first, None)]

    def _drop(self, stale: int) -> None:
        del self.times[:stale]
        for value in list(islice(self.last_of, stale)):
            del self.last_of[value]


class FirstSeen:
    """Seconds since the first event; forgotten when nothing came for the whole retention."""

    __slots__ = ("first", "retention_ms", "times")

    def __init__(self, retention_ms: int) -> None:
        self.retention_ms = retention_ms
        self.first = 0
        self.times: list[int] = []  # the last time only

    def observe(self, plan: SeriesPlan, now: int, value: int | str | None, answer: Answer) -> None:
        times = self.times
        t = times[-1] if times and times[-1] > now else now
        known = bool(times) and times[-1] > t - self.retention_ms
        if known:
            answer[plan.features[0]] = (t - self._since()) / 1000
        if value is not None:
            if not known:
                self.first = t
            times[:] = (t,)

    @property
    def first_ms(self) -> int | None:
        return self.first if self.times else None

    def follow(self, live: FirstSeen, cut_ms: int) -> None:
        """Add what a series of the same measure recorded after `cut_ms`."""
        last = live.times[-1]
        if last <= cut_ms:
            return
        if live.first - self.times[-1] >= self.retention_ms:  # a gap between past and live
            self.first = live.first
        self.times[:] = (max(last, self.times[-1]),)

    def _since(self) -> int:
        return self.first


class LastSeen(FirstSeen):
    """Seconds since the last event."""

    __slots__ = ()

    def _since(self) -> int:
        return self.times[-1]


Series = Count | FirstSeen
SERIES_OF_MEASURE: dict[str, type[Count] | type[FirstSeen]] = {
    "count": Count,
    "sum": Sum,
    "mean": Mean,
    "min": Min,
    "max": Max,
    "distinct": Distinct,
    "first_seen": FirstSeen,
    "last_seen": LastSeen,
}
