"""Files of raw events become the history that the service would have written."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from training.offline import events as events_module
from training.offline.errors import EventsUnusable
from training.offline.events import Converted, convert_events
from training.offline.raw_columns import leaves
from training.simulator.stream import Traffic, simulate

CURRENCIES = CurrencyTable("CNY", {}, {})
KEY = bytes(32)
UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
Body = dict[str, Any]


def bodies() -> list[Body]:
    """One event of each type with all that an event can say, and some simulated ones."""
    simulated = simulate(Traffic(200, 5, UNTIL - timedelta(days=2), UNTIL))
    return [*(row.example for row in EVENT_TYPES.values()), *(one.event for one in simulated)]


def lines_at(path: Path, some: list[Body]) -> Path:
    """Write JSON lines, gzipped where the name says so."""
    text = "\n".join(map(json.dumps, some)).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def flat(part: Body, prefix: str = "") -> dict[str, Any]:
    """Give dotted names; lists as JSON."""
    cells: dict[str, Any] = {}
    for name, value in part.items():
        if isinstance(value, dict):
            cells |= flat(value, f"{prefix}{name}.")
        else:
            cells[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return cells


def csv_at(path: Path, some: list[Body]) -> Path:
    """Write a CSV with a column for every leaf of an event, booleans as `true` and `false`."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, list(leaves()))
        table.writeheader()
        for body in some:
            cells = flat(body).items()
            table.writerow({k: str(v).lower() if isinstance(v, bool) else v for k, v in cells})
    return path


def converted(tmp_path: Path, *paths: Path, **options: Any) -> tuple[pl.DataFrame, Converted]:
    """Convert files and give the history."""
    out = tmp_path / "history.parquet"
    counts = convert_events(paths, out, CURRENCIES, KEY, **options)
    return pl.read_parquet(out), counts


def test_every_kind_of_file_gives_the_same_history(tmp_path: Path) -> None:
    """JSON lines, gzipped or not, CSV, Parquet with dotted and with nested columns."""
    some = bodies()
    expected, counts = converted(tmp_path, lines_at(tmp_path / "e.jsonl", some))
    assert counts == Converted(len(some), 0, 0, 0)
    assert expected["position"].to_list() == list(range(1, len(some) + 1))
    dotted = pa.Table.from_pylist([{n: flat(one).get(n) for n in leaves()} for one in some])
    pq.write_table(dotted, tmp_path / "dotted.parquet")
    nested = [{**one, "occurred_at": datetime.fromisoformat(one["occurred_at"])} for one in some]
    pl.DataFrame(nested, infer_schema_length=None).write_parquet(tmp_path / "nested.parquet")
    others = [
        lines_at(tmp_path / "e.ndjson.gz", some),
        csv_at(tmp_path / "e.csv", some),
        tmp_path / "dotted.parquet",
        tmp_path / "nested.parquet",
    ]
    for path in others:
        assert converted(tmp_path, path)[0].equals(expected), path


def test_several_processes_give_the_history_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is that of the files, however many read them."""
    monkeypatch.setattr(events_module, "_PARALLEL_FROM", events_module.BATCH_ROWS)
    some = [one.event for one in simulate(Traffic(2300, 5, UNTIL - timedelta(days=9), UNTIL))]
    paths = [
        lines_at(tmp_path / "a.jsonl", some[:1200]),
        lines_at(tmp_path / "b.jsonl", some[1200:]),
    ]
    one, _ = converted(tmp_path, *paths, processes=1)
    assert converted(tmp_path, *paths, processes=2)[0].equals(one)
    assert one.height == len(some)


def test_rows_follow_occurred_at_and_ties_the_file(tmp_path: Path) -> None:
    """Half a millisecond decides; at one moment the order of files and of lines holds."""
    times = ["09.000700Z", "09.000600Z", "08Z", "08Z"]
    some = [
        _signup(f"e{n}", f"2026-05-01T10:00:{at}") | {"user": {"id": f"u{n}"}}
        for n, at in enumerate(times)
    ]
    first = lines_at(tmp_path / "a.jsonl", some[:3])
    history, _ = converted(tmp_path, first, lines_at(tmp_path / "b.jsonl", some[3:]))
    tags = {row["tag.user"]: n for n, row in enumerate(history.to_dicts())}
    alone = [converted(tmp_path, lines_at(tmp_path / "c.jsonl", [one]))[0] for one in some]
    assert [tags[one["tag.user"][0]] for one in alone] == [3, 2, 0, 1]
    assert history["observed_ms"].is_sorted()
    assert history["observed_ms"].to_list() == history["occurred_ms"].to_list()


def test_an_event_id_counts_once_and_the_first_wins(tmp_path: Path) -> None:
    """Repeats are left out and counted, those that say something else are told apart."""
    first = _signup("e1", "2026-05-01T10:00:00Z")
    later = first | {"user": {"id": "someone-else"}}
    path = lines_at(tmp_path / "e.jsonl", [first, first, later])
    history, counts = converted(tmp_path, path)
    assert counts == Converted(rows=1, repeats=2, other=1, refused=0)
    alone, _ = converted(tmp_path, lines_at(tmp_path / "one.jsonl", [first]))
    assert history.equals(alone)


def test_every_refused_event_is_named_with_file_line_and_reason(tmp_path: Path) -> None:
    """All problems at once, and how to go on without those events."""
    good = _signup("e1", "2026-05-01T10:00:00Z")
    path = lines_at(tmp_path / "e.jsonl", [good, good | {"type": "sign_up"}, {"event_id": "x"}])
    path.write_bytes(path.read_bytes() + b"\n\n{not json\n")
    with pytest.raises(EventsUnusable) as refused:
        converted(tmp_path, path)
    text = str(refused.value)
    assert text.startswith("3 event(s) that the API would refuse:")
    for part in ("e.jsonl, line 2: /type", "e.jsonl, line 3: /", "e.jsonl, line 5: the body"):
        assert part in text
    assert text.endswith("leave them out with --skip-refused.")
    history, counts = converted(tmp_path, path, skip_refused=True)
    assert (history.height, counts.refused) == (1, 3)


def test_a_hundred_problems_are_enough(tmp_path: Path) -> None:
    """A file full of something else does not print itself."""
    path = lines_at(tmp_path / "e.jsonl", [{"event_id": str(n)} for n in range(300)])
    with pytest.raises(EventsUnusable) as refused:
        converted(tmp_path, path)
    assert len(str(refused.value).splitlines()) == 102


def test_what_concerns_a_whole_file_is_one_error(tmp_path: Path) -> None:
    """Columns that are none, rows of another width, and files that cannot be read."""
    table = tmp_path / "e.csv"
    table.write_text("event_id,type,occured_at,user.nmae\n")
    _refuses(tmp_path, table, "column `user.nmae` is no field of an event. Did you mean")
    _refuses(tmp_path, table, "column `occurred_at` is missing")
    table.write_text("event_id,type,occurred_at,event_id\n")
    _refuses(tmp_path, table, "column `event_id` comes twice")
    table.write_text("event_id,type,occurred_at\ne1,signup\n")
    _refuses(tmp_path, table, "line 2: not as many cells as the 3 columns")
    table.write_bytes(b"event_id,type,occurred_at\n\xff\n")
    _refuses(tmp_path, table, "e.csv is not UTF-8")
    cut = tmp_path / "e.jsonl.gz"
    cut.write_bytes(gzip.compress(b"{}\n" * 1000)[:-9])
    _refuses(tmp_path, cut, "e.jsonl.gz cannot be read")
    (tmp_path / "e.parquet").write_bytes(b"no parquet")
    _refuses(tmp_path, tmp_path / "e.parquet", "e.parquet cannot be read as Parquet")
    _refuses(tmp_path, tmp_path / "e.xlsx", "e.xlsx is of no kind that can be read")
    _refuses(tmp_path, lines_at(tmp_path / "none.jsonl", []), "there are no events in")


def test_a_cell_of_the_wrong_kind_is_refused_as_the_api_does(tmp_path: Path) -> None:
    """Texts where numbers or flags are due, times without a zone: a line each, no value shown."""
    path = tmp_path / "e.csv"
    path.write_text(
        "event_id,type,occurred_at,order.id,order.amount_minor,login.succeeded,login.method\n"
        "e1,checkout,2026-05-01T10:00:00Z,o1,secret12.5,,\n"
        "e2,login,2026-05-01T10:00:00Z,,,yes,password\n"
        "e3,login,2026-05-01T10:00:00,,,TRUE,password\n"
    )
    with pytest.raises(EventsUnusable) as refused:
        converted(tmp_path, path)
    text = str(refused.value)
    assert (
        "line 2: /user: This field is required. " in text or "line 2: /order/amount_minor" in text
    )
    assert "line 3: " in text
    assert "/login/succeeded: Must be true or false" in text
    assert "line 4: /occurred_at: Must be a time with a zone" in text
    assert "secret" not in text


def _signup(event_id: str, at: str) -> Body:
    user = {"id": "u-1"}
    return {"event_id": event_id, "type": "signup", "occurred_at": at, "user": user}


def _refuses(tmp_path: Path, path: Path, text: str) -> None:
    with pytest.raises(EventsUnusable) as refused:
        converted(tmp_path, path)
    assert text in str(refused.value)
    assert not list(islice(tmp_path.glob("tmp*"), 1))
