"""Velocity series in this process: the same answers as in Valkey, without a server.

Training walks hundreds of thousands of events through `observe_now`, one thread, in the order in
which they were accepted. Invariant: every answer equals that of `ValkeyVelocityStore` after the
same calls.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import islice

from features.velocity.observation import EntityObservation, Observation, SeriesPlan
from features.velocity.store import REPEAT_MS, VelocityUnavailable

_TRIM_AT = 512  # stale members; fewer are not worth the move
_REPLIES_KEPT = 20_000  # events; a repeat is recognised among the last 10,000 at least
_SWEEP_EVERY = 100_000  # events between two looks for entities that nothing can ask for again

Answer = dict[str, int | float]


class _Series:
    """Members of one series, oldest first: times, and for sums the totals up to each."""

    __slots__ = ("first", "last_of", "retention_ms", "times", "totals")

    def __init__(self, plan: SeriesPlan, t: int) -> None:
        self.retention_ms = plan.retention_ms
        self.first = t  # first_seen and last_seen keep this and one time, nothing else
        self.times: list[int] = []
        self.totals: list[int] | None = [0] if plan.measure == "sum" else None
        self.last_of: dict[str, int] | None = {} if plan.measure == "distinct" else None

    def trim(self, t: int) -> None:
        stale = bisect_right(self.times, t - self.retention_ms)
        if 2 * stale < len(self.times):
            return  # moving the rest would cost more than it frees
        del self.times[:stale]
        if self.totals is not None:
            del self.totals[:stale]  # totals[0] stays the total before times[0]
        if self.last_of is not None:
            for value in list(islice(self.last_of, stale)):
                del self.last_of[value]


class MemoryVelocityStore:
    """The `VelocityStore` of training and of tests.

    Entities idle for longer than their retention are forgotten now and then, including the time
    of their last record, as expiry does in Valkey.
    """

    def __init__(self) -> None:
        self._entities: dict[tuple[str, str], dict[str, _Series]] = {}
        self._replies: dict[str, dict[tuple[str, str], tuple[int, Answer]]] = {}
        self._until_sweep = _SWEEP_EVERY
        self._closed = False

    async def observe(self, observation: Observation, timeout_s: float) -> Answer:  # noqa: ARG002 - the Protocol's; never waits
        if self._closed:
            raise VelocityUnavailable("closed")
        return self.observe_now(observation)

    def observe_now(self, observation: Observation) -> Answer:
        """Do what `VelocityStore.observe` promises, synchronously; never fails."""
        event_tag, now, entities = observation
        known = self._replies.get(event_tag)
        if known is None:
            known = self._replies[event_tag] = {}
            if len(self._replies) > _REPLIES_KEPT:
                for oldest in list(islice(self._replies, _REPLIES_KEPT // 2)):
                    del self._replies[oldest]
        answer: Answer = {}
        for entity in entities:
            key = (entity[0], entity[1])
            if (stored := known.get(key)) and now - stored[0] < REPEAT_MS:
                answer.update(stored[1])
                continue
            part = self._observe_entity(entity, key, now)
            known[key] = (now, part)
            answer.update(part)
        self._until_sweep -= 1
        if not self._until_sweep:
            self._until_sweep = _SWEEP_EVERY
            self._sweep(now)
        return answer

    async def ping(self, timeout_s: float) -> None:  # noqa: ARG002 - the Protocol's; never waits
        if self._closed:
            raise VelocityUnavailable("closed")

    async def close(self) -> None:
        self._closed = True
        self._entities.clear()
        self._replies.clear()

    def _observe_entity(self, entity: EntityObservation, key: tuple[str, str], now: int) -> Answer:
        kept = self._entities.get(key)
        answer: Answer = {}
        for plan, value in entity[2]:
            series = kept.get(plan.name) if kept else None
            if series is None:
                if plan.measure not in ("first_seen", "last_seen"):
                    for name in plan.features:
                        answer[name] = 0
                if value is None:
                    continue
                if kept is None:
                    kept = self._entities[key] = {}
                series = kept[plan.name] = _Series(plan, now)
                _record(series, plan, now, value)
                continue
            t = max(now, series.times[-1])
            _read(series, plan, t, answer)
            if value is not None:
                _record(series, plan, t, value)
        return answer

    def _sweep(self, now: int) -> None:
        for key, kept in list(self._entities.items()):
            for name, series in list(kept.items()):
                if series.times[-1] <= now - series.retention_ms - REPEAT_MS:
                    del kept[name]
            if not kept:
                del self._entities[key]


def _read(series: _Series, plan: SeriesPlan, t: int, answer: Answer) -> None:
    times, totals = series.times, series.totals
    if plan.measure == "first_seen" or plan.measure == "last_seen":
        if times[-1] > t - plan.retention_ms:
            since = series.first if plan.measure == "first_seen" else times[-1]
            answer[plan.features[0]] = (t - since) / 1000
        return
    size = len(times)
    for window_ms, name in zip(plan.windows_ms, plan.features, strict=True):
        older = bisect_right(times, t - window_ms)
        answer[name] = size - older if totals is None else totals[-1] - totals[older]


def _record(series: _Series, plan: SeriesPlan, t: int, value: int | str) -> None:
    times = series.times
    if plan.measure == "first_seen" or plan.measure == "last_seen":
        if times and times[-1] <= t - plan.retention_ms:
            series.first = t
        times[:] = (t,)
        return
    if series.last_of is not None:
        tag = str(value)
        if (last := series.last_of.pop(tag, None)) is not None:
            del times[bisect_left(times, last)]  # any of equal times will do
        series.last_of[tag] = t  # re-inserted: the dict stays in the order of `times`
    elif series.totals is not None:
        series.totals.append(series.totals[-1] + int(value))
    times.append(t)
    if len(times) > _TRIM_AT and times[_TRIM_AT - 1] <= t - series.retention_ms:
        series.trim(t)
