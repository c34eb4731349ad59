"""`touchstone features compute`, from files to a file."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console
from typer.testing import CliRunner

from service.cli import build_app
from service.settings import Settings
from training.labels import LabelLeak, LabelsUnusable
from training.offline.errors import EventsUnusable, HistoryUnusable, OutputUnusable
from training.offline.job import Job, run_job
from training.simulator.stream import Traffic, simulate

SINCE = datetime(2026, 4, 1, tzinfo=UTC)
CUT = SINCE + timedelta(days=20)
Body = dict[str, Any]


def stream(events: int = 600) -> list[Body]:
    """Thirty days of simulated events."""
    return [one.event for one in simulate(Traffic(events, 5, SINCE, SINCE + timedelta(days=30)))]


def events_at(path: Path, some: list[Body]) -> Path:
    """Write JSON lines."""
    path.write_text("\n".join(map(json.dumps, some)))
    return path


def run(tmp_path: Path, **job: Any) -> tuple[pl.DataFrame, str]:
    """Run a job; give the table and what was said."""
    said = Console(file=io.StringIO(), width=200)
    options = {"out": tmp_path / "out.parquet", **job}
    run_job(Job(**options), Settings(var=tmp_path / "var"), said, said)
    return pl.read_parquet(options["out"]), said.file.getvalue()  # type: ignore[attr-defined]


def test_raw_events_and_their_history_give_the_same_features(tmp_path: Path) -> None:
    """The history that was kept on the way is as good as the events, in any chunks."""
    path, kept = events_at(tmp_path / "e.jsonl", stream()), tmp_path / "h.parquet"
    first, said = run(tmp_path, events=(path,), keep_history=kept, with_fields=True)
    assert f"{first.height} events read" in said
    second, _ = run(tmp_path, history=kept, with_fields=True, chunk_rows=77)
    assert second.equals(first)


def test_the_future_has_no_effect(tmp_path: Path) -> None:
    """Planted: the same people do everything again after the time asked for."""
    some = stream()
    again = [
        {**one, "event_id": f"later-{n}", "occurred_at": (CUT + timedelta(hours=n % 9)).isoformat()}
        for n, one in enumerate(some)
    ]
    before = [one for one in some if datetime.fromisoformat(one["occurred_at"]) < CUT]
    plain, _ = run(tmp_path, events=(events_at(tmp_path / "a.jsonl", before),), as_of=CUT)
    path = events_at(tmp_path / "b.jsonl", some + again)
    assert plain.height == len(before)
    for chunk_rows in (250_000, 50):
        planted, _ = run(tmp_path, events=(path,), as_of=CUT, chunk_rows=chunk_rows)
        assert planted.equals(plain)
    with pytest.raises(HistoryUnusable, match="holds no events before the time asked for"):
        run(tmp_path, events=(path,), as_of=SINCE - timedelta(days=1))


def test_an_event_has_no_effect_on_its_own_features(tmp_path: Path) -> None:
    """Planted: the last event is turned into another amount; its own row stays as it was."""
    some = [one for one in stream() if one["type"] == "coupon_redemption"]
    changed = {**some[-1], "coupon": {**some[-1]["coupon"], "value_minor": 999_999}}
    plain, _ = run(tmp_path, events=(events_at(tmp_path / "a.jsonl", some),))
    other, _ = run(tmp_path, events=(events_at(tmp_path / "b.jsonl", [*some[:-1], changed]),))
    assert other.equals(plain)
    assert plain["user_coupon_value_30d"].max() > 0  # type: ignore[operator]


def test_labels_stand_beside_features_as_they_were_known(tmp_path: Path) -> None:
    """Those known by the time asked for; the others are null."""
    some = stream()
    labels = tmp_path / "l.csv"
    rows = [f"{one['event_id']},{n % 2},manual_review," for n, one in enumerate(some)]
    labels.write_text("\n".join(["event_id,label,source,known_at", *rows]))
    found, said = run(
        tmp_path, events=(events_at(tmp_path / "e.jsonl", some),), labels=labels, as_of=CUT
    )
    cut_ms = int(CUT.timestamp() * 1000)
    is_known = found["observed_ms"] + 7 * 86_400_000 <= cut_ms
    assert found["label"].is_not_null().equals(is_known.alias("label"))
    assert f"{is_known.sum()} of them labelled" in said
    assert 0 < is_known.sum() < found.height


def test_labels_of_other_events_are_no_labels(tmp_path: Path) -> None:
    """Not one of them names an event: most likely tags under another key."""
    labels = tmp_path / "l.csv"
    labels.write_text("event_tag,label,source\nnobody,1,chargeback\n")
    path = events_at(tmp_path / "e.jsonl", stream(200))
    with pytest.raises(LabelsUnusable, match=r"none of the 1 labels names an event .*--var"):
        run(tmp_path, events=(path,), labels=labels, as_of=CUT)


def test_a_run_that_fails_leaves_the_old_result_alone(tmp_path: Path) -> None:
    """A leak, a refused event, a directory that is not there: nothing is left behind."""
    some = stream(200)
    path, out = events_at(tmp_path / "e.jsonl", some), tmp_path / "out.parquet"
    out.write_bytes(b"the old result")
    labels = tmp_path / "l.csv"
    early = f"{some[0]['event_id']},1,chargeback,1999-01-01T00:00:00Z"
    labels.write_text(f"event_id,label,source,known_at\n{early}\n")
    with pytest.raises(LabelLeak):
        run(tmp_path, events=(path,), labels=labels, as_of=CUT)
    with pytest.raises(EventsUnusable):
        run(tmp_path, events=(events_at(tmp_path / "bad.jsonl", [{}]),))
    with pytest.raises(OutputUnusable, match="there is no directory"):
        run(tmp_path, events=(path,), out=tmp_path / "no" / "out.parquet")
    assert out.read_bytes() == b"the old result"
    assert {one.name for one in tmp_path.iterdir()} == {
        "e.jsonl", "bad.jsonl", "l.csv", "out.parquet",
    }  # fmt: skip


def test_tags_are_those_of_the_service_where_there_is_one(tmp_path: Path) -> None:
    """With a tag key in the data directory an entity has the tag that the service gives it."""
    path = events_at(tmp_path / "e.jsonl", stream(50))
    plain, _ = run(tmp_path, events=(path,))
    keys = tmp_path / "var" / "keys"
    keys.mkdir(parents=True)
    (keys / "tag.key").write_bytes(b"k" * 32)
    (keys / "tag.key").chmod(0o600)
    keyed, _ = run(tmp_path, events=(path,))
    assert keyed["event_tag"].to_list() != plain["event_tag"].to_list()
    assert keyed.drop("event_tag").equals(plain.drop("event_tag"))


def test_the_command_line_asks_for_what_is_missing(tmp_path: Path) -> None:
    """One source of events, and a time wherever labels are; with both it computes."""
    path, out = events_at(tmp_path / "e.jsonl", stream(50)), str(tmp_path / "out.parquet")
    words = ["features", "compute", "--out", out, "--var", str(tmp_path / "var")]
    app = build_app(words)
    neither = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert (neither.exit_code, "--events or --history" in neither.output) == (2, True)
    labelled = CliRunner().invoke(
        app, [*words, "--events", str(path), "--labels", str(path)], env={"COLUMNS": "200"}
    )
    assert (labelled.exit_code, "--labels needs --as-of" in labelled.output) == (2, True)
    done = CliRunner().invoke(app, [*words, "--events", str(path), "--as-of", "2026-04-21"])
    assert done.exit_code == 0, done.output
    assert pl.read_parquet(out)["observed_ms"].max() < CUT.timestamp() * 1000  # type: ignore[operator]
