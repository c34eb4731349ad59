"""The commands of profiles as people run them: in order, in failure, and silent to the world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import redis

from features.profiles.marker import MARKER_KEY, Marker
from tests.conftest import REPOSITORY
from tests.offline import frame_of
from tests.profiles import simulated

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Ran:
    """What the commands did, and whom their process asked for outside of this machine."""

    commands: list[dict[str, Any]]
    asked: list[str]
    var: Path
    url: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Ran:
    """Build, a gate that fails, then all of it: in one process, each import paid for once."""
    base = tmp_path_factory.mktemp("commands")
    url = f"{valkey_url.partition('?')[0]}?db=15"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    history, cut_off = base / "history.parquet", base / "cut_off.parquet"
    frame = frame_of(simulated(900, TODAY))
    frame.write_parquet(history)
    days_ago = round(TODAY.timestamp() * 1000) - 3 * 86_400_000
    frame.filter(pl.col("observed_ms") < days_ago).write_parquet(cut_off)
    var = ["--var", str(base / "var")]
    commands = [
        ["profiles", "status", *var],
        ["profiles", "materialize", *var],
        ["profiles", "build", "--history", str(cut_off), *var],
        ["profiles", "materialize", *var],
        ["profiles", "build", "--history", str(history), *var],
        ["profiles", "validate", *var],
        ["profiles", "materialize", *var],
        ["profiles", "status", *var],
        ["profiles", "join", "--history", str(history), "--out", str(base / "joined"), *var],
    ]
    listed = base / "commands.json"
    listed.write_text(json.dumps(commands))
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.profiles_child", str(listed)],
        cwd=REPOSITORY,
        env={**os.environ, "TOUCHSTONE_VALKEY__URL": url},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return Ran(found["ran"], found["asked"], base / "var", url)


def test_the_commands_lead_from_a_history_to_profiles_that_decisions_read(ran: Ran) -> None:
    """Build, validate and materialize succeed in this order, and the marker names the build."""
    assert [one["code"] for one in ran.commands] == [0, 1, 0, 1, 0, 0, 0, 0, 0], ran.commands
    with redis.Redis.from_url(ran.url) as client:
        text = client.get(MARKER_KEY)
    assert isinstance(text, bytes)
    marker = Marker.loads(text)
    assert (ran.var / "profiles" / "current").resolve().name == marker.generation
    assert "all 1" in ran.commands[5]["out"]
    assert marker.generation in ran.commands[7]["out"]


def test_without_a_build_there_is_a_hint_and_no_profiles(ran: Ran) -> None:
    """The first commands of a fresh installation say what to do."""
    assert "Decisions read no profiles" in ran.commands[0]["out"]
    assert "touchstone profiles build --history FILE" in ran.commands[1]["err"]


def test_a_failing_gate_materialises_nothing_and_lists_what_failed(ran: Ran) -> None:
    """The exit code is not 0, the failures are sentences, and the store stays as it was."""
    failed = ran.commands[3]
    assert failed["code"] == 1
    assert "nothing was materialised" in failed["err"]
    assert "build, freshness: hours from the newest event to the build's time" in failed["err"]
    assert "Decisions read" not in failed["out"]
    names = sorted(path.name for path in (ran.var / "profiles" / "builds").iterdir())
    refused = next(name for name in names if name in failed["err"])
    assert not (ran.var / "profiles" / "builds" / refused / "registry.db").exists()
    with redis.Redis.from_url(ran.url) as client:
        assert not [key for key in client.scan_iter() if refused.encode() in key]


def test_nothing_leaves_this_machine(ran: Ran) -> None:
    """Neither Feast nor Great Expectations asks for a name or an address elsewhere."""
    assert ran.asked == ["socket.getaddrinfo 203.0.113.1"]  # the test's own: the watch works
    pages = list((ran.var / "profiles" / "docs").glob("*.html"))
    assert len(pages) == 3
    assert not [page for page in pages if "http" in page.read_text("utf-8")]


def test_training_gets_a_table_with_a_row_for_each_event(ran: Ran) -> None:
    """`join` writes the profiles that each event of the history would have met."""
    table = pl.read_parquet(ran.var.parent / "joined")
    assert table.height == pl.read_parquet(ran.var.parent / "history.parquet").height
    assert table.columns[:3] == ["event_tag", "observed_ms", "profile_user_tenure_days"]
    assert 0.2 < table["profile_user_tenure_days"].is_not_null().mean() < 1.0  # type: ignore[operator]
