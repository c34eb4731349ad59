"""Velocity series in this process: the same answers as in Valkey, without a server.

Training walks hundreds of thousands of events through `observe_now`, one thread, in the order in
which they were accepted. Invariant: every answer equals that of `ValkeyVelocityStore` after the
same calls, as long as nothing is thinned there; afterwards it is the exact one.
"""

from __future__ import annotations

from itertools import islice

from features.velocity.memory_series import SERIES_OF_MEASURE, Answer, Series
from features.velocity.observation import Observation
from features.velocity.store import REPEAT_MS, VelocityUnavailable

_REPLIES_KEPT = 20_000  # events; a repeat is recognised among the last 10,000 at least
_SWEEP_EVERY = 100_000  # events between two looks for series that nothing can ask for again


class MemoryVelocityStore:
    """The `VelocityStore` of training and of tests.

    Series idle for longer than their retention are forgotten now and then, including the time of
    their last record, as expiry does in Valkey.
    """

    def __init__(self) -> None:
        self._entities: dict[tuple[str, str], dict[str, Series]] = {}
        self._replies: dict[str, dict[tuple[str, str], tuple[int, Answer]]] = {}
        self._until_sweep = _SWEEP_EVERY
        self._closed = False

    async def observe(
        self,
        observation: Observation,
        timeout_s: float,  # noqa: ARG002 - the Protocol's; nothing here waits
    ) -> Answer:
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
        for kind, tag, reads in entities:
            key = (kind, tag)
            if (stored := known.get(key)) and now - stored[0] < REPEAT_MS:
                answer.update(stored[1])
                continue
            kept = self._entities.get(key)
            if kept is None:
                kept = self._entities[key] = {}
            part: Answer = {}
            for plan, value in reads:
                name = plan.name
                series = kept.get(name)
                if series is None:
                    series = SERIES_OF_MEASURE[plan.measure](plan.retention_ms)
                    if value is not None:
                        kept[name] = series
                series.observe(plan, now, value, part)
            known[key] = (now, part)
            answer.update(part)
        self._until_sweep -= 1
        if not self._until_sweep:
            self._until_sweep = _SWEEP_EVERY
            self._sweep(now)
        return answer

    def series_of(self, kind: str, tag: str) -> dict[str, Series]:
        """Give the series kept for one entity, by name; what is put there is kept."""
        return self._entities.setdefault((kind, tag), {})

    async def ping(self, timeout_s: float) -> None:  # noqa: ARG002 - as above
        if self._closed:
            raise VelocityUnavailable("closed")

    async def close(self) -> None:
        self._closed = True
        self._entities.clear()
        self._replies.clear()

    def _sweep(self, now: int) -> None:
        for key, kept in list(self._entities.items()):
            for name, series in list(kept.items()):
                if series.times[-1] <= now - series.retention_ms - REPEAT_MS:
                    del kept[name]
            if not kept:
                del self._entities[key]
