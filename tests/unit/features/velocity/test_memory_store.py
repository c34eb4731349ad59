"""What only the store in process has: bounds on what it keeps."""

from __future__ import annotations

from features.velocity import memory_store
from features.velocity.memory_series import Distinct, Sum
from features.velocity.memory_store import MemoryVelocityStore
from features.velocity.store import REPEAT_MS
from tests.oracles.velocity_oracle import observation, plan


def test_series_trim_what_no_window_can_ask_for() -> None:
    """10,000 values, of which 10 fit into the window: about a thousand are kept."""
    total, values = Sum(retention_ms=10), Distinct(retention_ms=10)
    for t in range(10_000):
        total.observe(plan("sum", 10), t, 1, {})
        values.observe(plan("distinct", 10), t, f"v{t}", {})
    for series in (total, values):
        assert 10 <= len(series.times) <= 1100
    assert len(total.totals) == len(total.times) + 1
    assert list(values.last_of.values()) == values.times


def test_idle_entities_and_old_replies_are_forgotten() -> None:
    """After enough events only entities that a window can still see are there."""
    store, count = MemoryVelocityStore(), plan("count", 1000)
    for n in range(memory_store._SWEEP_EVERY):
        store.observe_now(observation(f"e{n}", 10 * n, (count, 1), tag=f"u{n}"))
    assert len(store._entities) <= (1000 + REPEAT_MS) / 10 + 1
    assert len(store._replies) <= memory_store._REPLIES_KEPT
    last = memory_store._SWEEP_EVERY - 1
    again = observation("x", 10 * last, (count, None), tag=f"u{last}")
    assert store.observe_now(again) == {"count_1000": 1}
