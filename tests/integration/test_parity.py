"""The service, the offline executor and a re-scan of everything tell one past."""

from __future__ import annotations

from pathlib import Path

from tests.soak.parity import parity


async def test_ledger_executor_oracle_and_raw_events_agree_bit_for_bit(tmp_path: Path) -> None:
    """What decisions were made on, and every row of history, is what the past gives again."""
    found = await parity(2_000, seed=7, folder=tmp_path)
    assert found.differences == []
    assert found.decided > 1_500
    assert found.ties > 100
    assert found.repeats > 20
