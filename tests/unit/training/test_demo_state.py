"""The demo's stream goes on where it ended, and is never empty."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from training.demo_state import DemoState, next_traffic, state_after
from training.simulator.stream import simulate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_first_run_covers_two_weeks() -> None:
    """A first stream ends now."""
    traffic = next_traffic(None, 3000, NOW)
    assert (traffic.events, traffic.until - traffic.since) == (3000, timedelta(days=14))


def test_next_run_continues_with_new_ids_and_old_customers(tmp_path: Path) -> None:
    """From the last answered event to now, at the same pace, among the same people."""
    first = next_traffic(None, 600, NOW)
    stream = list(simulate(first))
    state_after(None, first, stream[-1].event["occurred_at"]).save(tmp_path)
    last = DemoState.load(tmp_path)
    assert last is not None
    second = next_traffic(last, 600, NOW + timedelta(days=7))
    assert second.since == datetime.fromisoformat(stream[-1].event["occurred_at"])
    assert second.events in (300, 301)
    later = list(simulate(second))
    assert later[0].event["occurred_at"] >= stream[-1].event["occurred_at"]
    ids = [{item.event["event_id"] for item in part} for part in (stream, later)]
    assert not ids[0] & ids[1]
    for kind in ("user", "merchant"):
        who = [
            {item.event[kind]["id"] for item in part if kind in item.event}
            for part in (stream, later)
        ]
        assert who[0] & who[1], kind


def test_a_run_right_after_the_last_has_something_to_show() -> None:
    """A hundred events are asked for; what fits before now is shown."""
    last = DemoState(NOW.isoformat(), 50, NOW.isoformat(), 1)
    traffic = next_traffic(last, 3000, NOW + timedelta(seconds=2))
    assert traffic.events == 100
    assert traffic.since < traffic.until == NOW + timedelta(seconds=2)
    assert 20 < len(list(simulate(traffic))) <= 100


def test_interrupted_run_is_remembered(tmp_path: Path) -> None:
    """Nothing answered: the next run begins where this one would have, with other ids."""
    last = DemoState(NOW.isoformat(), 50, NOW.isoformat(), 1)
    traffic = next_traffic(last, 3000, NOW + timedelta(days=1))
    after = state_after(last, traffic, None)
    assert after == replace(last, until=traffic.since.isoformat(), runs=2)


def test_unreadable_state_is_a_first_run(tmp_path: Path) -> None:
    """A damaged file costs the continuation, never the demo."""
    for text in ("", "{}", '{"settled": "x", "population": 1, "until": "y", "runs": 1}', "[1]"):
        (tmp_path / "demo.json").write_text(text)
        assert DemoState.load(tmp_path) is None
    assert DemoState.load(tmp_path / "nowhere") is None
