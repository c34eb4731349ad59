"""Sources are found by name, and what is missing is said before anything starts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from training.adapters.folder import DataMissing, data_folder
from training.sources import DATA_SETS, UnknownSource, open_source

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)


def test_simulator_ends_at_the_given_time() -> None:
    """As many events as asked for, the last one before `until`."""
    stream = open_source("simulator", events=200, seed=1, until=UNTIL)
    events = list(stream.events)
    assert 150 < len(events) <= stream.count == 200
    assert events[-1].event["occurred_at"] <= "2026-06-01"


def test_unknown_name_lists_the_known_ones() -> None:
    """A mistyped name is answered with all that there are."""
    with pytest.raises(UnknownSource, match="simulator, fraud-ecommerce, online-retail"):
        open_source("fraud", events=None, seed=1, until=UNTIL)


@pytest.mark.parametrize("name", DATA_SETS)
def test_missing_data_is_said_with_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """No folder: the error names the file and `TOUCHSTONE_DATA`."""
    monkeypatch.setenv("TOUCHSTONE_DATA", str(tmp_path / "nowhere"))
    assert data_folder() == tmp_path / "nowhere"
    with pytest.raises(DataMissing, match="set TOUCHSTONE_DATA"):
        open_source(name, events=None, seed=1, until=UNTIL)
