"""The past put back into the velocity store of this process; see `history_store.py`.

Invariant: the same answers as `ValkeyVelocityHistory`; shadows live as long as this object.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence

from features.velocity.history_store import HistoryWrite, SeriesState
from features.velocity.memory_series import SERIES_OF_MEASURE, UNREAD, Answer, Series
from features.velocity.memory_store import MemoryVelocityStore
from features.velocity.observation import SeriesPlan
from features.velocity.store import MOST_VALUES


class MemoryVelocityHistory:
    """The `VelocityHistory` of a `MemoryVelocityStore`; nothing here waits."""

    def __init__(self, store: MemoryVelocityStore) -> None:
        self._store = store
        self._shadows: dict[tuple[str, str, str], tuple[Series, int]] = {}

    async def append(
        self,
        writes: Sequence[HistoryWrite],
        timeout_s: float,  # noqa: ARG002 - the Protocol's; nothing here waits
    ) -> None:
        for kind, tag, plan, position, at_ms, value in sorted(writes, key=lambda one: one.position):
            key = (kind, tag, plan.name)
            shadow, upto = self._shadows.get(key) or (_empty(plan), -1)
            if position > upto:
                shadow.observe(UNREAD, at_ms, value, {})
                self._shadows[key] = (shadow, position)

    async def merge(
        self,
        kind: str,
        tag: str,
        plan: SeriesPlan,
        cut_ms: int,
        timeout_s: float,  # noqa: ARG002 - as above
    ) -> None:
        shadow, _ = self._shadows.pop((kind, tag, plan.name), (None, 0))
        if shadow is not None:
            kept = self._store.series_of(kind, tag)
            live = kept.get(plan.name)
            if live is not None:
                shadow.follow(live, cut_ms)  # type: ignore[arg-type]  # both of one measure
            kept[plan.name] = shadow

    async def shadows(self) -> AsyncIterator[tuple[str, str, str]]:
        for key in list(self._shadows):
            yield key

    async def drop_shadows(self) -> None:
        self._shadows.clear()

    async def peek(
        self,
        kind: str,
        tag: str,
        plan: SeriesPlan,
        now_ms: int,
        timeout_s: float,  # noqa: ARG002 - as above
    ) -> SeriesState:
        series = self._store.series_of(kind, tag).get(plan.name) or _empty(plan)
        answers: Answer = {}
        series.observe(plan, now_ms, None, answers)
        times = series.times
        return SeriesState(
            answers,
            len(times),
            sys.getsizeof(times) + sum(map(sys.getsizeof, times)),
            series.first_ms,
            times[-1] if times else None,
            plan.measure == "distinct" and len(times) >= MOST_VALUES,
        )


def _empty(plan: SeriesPlan) -> Series:
    return SERIES_OF_MEASURE[plan.measure](plan.retention_ms)
