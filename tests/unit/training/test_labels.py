"""Labels count from the moment at which they were known, and planted leaks are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest
import yaml

from features.catalog import Catalog
from service.labels.sources import SOURCES_FILE
from tests.offline import TAGGER
from training.labels import LabelLeak, Labels, LabelsUnusable, read_delays, read_labels
from training.offline.own_features import FeaturesUnusable, read_own_features
from training.offline.point_in_time import PointInTime

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DELAYS_MS = {"chargeback": 45 * 86_400_000, "manual_review": 7 * 86_400_000}
EVENTS = pl.DataFrame(
    {
        "event_tag": [TAGGER.tag("event", f"e{n}") for n in range(20)],
        "observed_ms": [int((START + n * DAY).timestamp() * 1000) for n in range(20)],
    }
)


@cache
def catalog() -> Catalog:
    """The shipped catalog."""
    return Catalog.load()


def labels_of(
    tmp_path: Path, *rows: str, columns: str = "event_id,label,source,known_at"
) -> Labels:
    """Read labels that stand in a CSV."""
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return read_labels(path, TAGGER, DELAYS_MS)


def known(labels: Labels, as_of: datetime) -> list[int | None]:
    """Give the labels of the first three events as known at a time."""
    return labels.known(EVENTS[:3], as_of)["label"].to_list()


def test_a_label_is_known_after_the_delay_of_its_source(tmp_path: Path) -> None:
    """To the millisecond: 45 days after its event a chargeback is known, not a moment before."""
    labels = labels_of(tmp_path, "e0,1,chargeback,", "e1,honest,manual_review,")
    day = START + 45 * DAY
    assert known(labels, day - timedelta(milliseconds=1)) == [None, 0, None]
    assert known(labels, day) == [1, 0, None]
    row = labels.known(EVENTS[:1], day).to_dicts()[0]
    assert row == {
        "label": 1,
        "label_source": "chargeback",
        "label_known_ms": int(day.timestamp() * 1000),
    }


def test_a_stated_time_goes_before_the_declared_delay(tmp_path: Path) -> None:
    """`known_at` in any RFC 3339 spelling is the moment, and nothing is known before it."""
    for spelled in ("2026-03-05T09:00:00Z", "2026-03-05 17:00+08:00", "2026-03-05t09:00:00.000z"):
        labels = labels_of(tmp_path, f"e0,true,chargeback,{spelled}")
        moment = datetime(2026, 3, 5, 9, tzinfo=UTC)
        assert known(labels, moment - timedelta(milliseconds=1)) == [None] * 3
        assert known(labels, moment) == [1, None, None]


def test_the_label_known_last_counts_and_abuse_among_equals(tmp_path: Path) -> None:
    """A review is overruled by a later chargeback, but only once that is known."""
    labels = labels_of(
        tmp_path, "e0,1,chargeback,", "e0,0,manual_review,",
        "e1,0,manual_review,2026-03-09T00:00:00Z", "e1,1,chargeback,2026-03-09T00:00:00Z",
    )  # fmt: skip
    assert known(labels, START + 30 * DAY) == [0, 1, None]
    assert known(labels, START + 60 * DAY) == [1, 1, None]


def test_a_label_from_before_its_event_is_refused(tmp_path: Path) -> None:
    """Planted: a label known a millisecond before its event came."""
    labels = labels_of(tmp_path, "e2,1,chargeback,2026-03-02T23:59:59.999Z")
    with pytest.raises(LabelLeak, match=r"labels\.csv: 1 label\(s\) were known before their event"):
        known(labels, START)
    assert known(labels_of(tmp_path, "e2,1,chargeback,2026-03-03T00:00:00Z"), START + 9 * DAY)[2]


def test_every_bad_label_is_named_with_its_row(tmp_path: Path) -> None:
    """Labels, sources, times and events: what is wrong where, and no value of the file."""
    with pytest.raises(LabelsUnusable) as refused:
        labels_of(
            tmp_path, "e0,maybe,chargeback,", "e1,1,chargebacks,", "e2,1,chargeback,2026-03-05",
            "e3,1,chargeback,2026-03-05T09:00:00",
        )  # fmt: skip
    lines = str(refused.value).splitlines()
    assert lines[0].endswith("labels.csv has 4 problem(s):")
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "- row 1",
        "- row 3",
        "- row 4",
        "- row 2",
    ]
    assert lines[4] == (
        "- row 2: source `chargebacks` has no declared delay. Did you mean `chargeback`?"
    )
    with pytest.raises(LabelsUnusable, match="row 2: `event_id` is empty"):
        labels_of(tmp_path, "e0,1,chargeback,", ",1,chargeback,")
    with pytest.raises(LabelsUnusable, match="column `label` is missing"):
        labels_of(tmp_path, "e0,1,chargeback", columns="event_id,lable,source")
    with pytest.raises(LabelsUnusable, match="`event_id` or `event_tag`"):
        labels_of(tmp_path, "1,chargeback", columns="label,source")
    with pytest.raises(LabelsUnusable, match=r"labels\.json is of no kind that can be read"):
        read_labels(tmp_path / "labels.json", TAGGER, DELAYS_MS)


def test_labels_may_come_as_parquet_and_json_lines(tmp_path: Path) -> None:
    """Typed columns say the same as texts."""
    at = datetime(2026, 3, 5, 9, tzinfo=UTC)
    typed = pl.DataFrame(
        {"event_tag": EVENTS["event_tag"][:2], "label": [1, 0], "source": ["chargeback"] * 2,
         "known_at": [at, None]}
    )  # fmt: skip
    typed.write_parquet(tmp_path / "l.parquet")
    typed.with_columns(pl.Series("known_at", [at.isoformat(), None])).write_ndjson(
        tmp_path / "l.jsonl"
    )
    for name in ("l.parquet", "l.jsonl"):
        labels = read_labels(tmp_path / name, TAGGER, DELAYS_MS)
        assert known(labels, START + 45 * DAY) == [1, None, None]
        assert known(labels, START + 46 * DAY) == [1, 0, None]


def test_every_shipped_delay_says_why() -> None:
    """Sources of labels are data: a number of days and where it comes from."""
    assert read_delays()["chargeback"] == 45 * 86_400_000
    rows = yaml.safe_load(SOURCES_FILE.read_text("utf-8"))
    assert {"chargeback", "return_inspection", "manual_review", "simulator"} <= rows.keys()
    assert all(len(row["why"]) > 20 for row in rows.values())


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("a: {days: -1, why: x}", "`days` of `a` must be a number from 0 to 730"),
        ("a: {days: true, why: x}", "`days` of `a` must be a number"),
        ("a: {days: 3}", "`a` needs exactly the keys `days` and `why`"),
        ("a: {days: 3, why: ''}", "`a` must say `why`"),
        ("- a", "must hold a row"),
        ("a: [", "cannot be read"),
    ],
)
def test_delays_that_say_nothing_are_refused(tmp_path: Path, row: str, text: str) -> None:
    """A delay needs a number that can be and a reason."""
    path = tmp_path / "delays.yaml"
    path.write_text(row)
    with pytest.raises(LabelsUnusable, match=text):
        read_delays(path)


def own_at(tmp_path: Path, known_at: list[str], **columns: list[object]) -> Path:
    """Write features of one's own for the first events."""
    ids = [f"e{n}" for n in range(len(known_at))]
    path = tmp_path / "own.parquet"
    pl.DataFrame({"event_id": ids, "known_at": known_at, **columns}).write_parquet(path)
    return path


def test_own_features_stand_beside_their_events(tmp_path: Path) -> None:
    """Known by the moment of the event itself; null where the file has no row."""
    path = own_at(tmp_path, ["2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z"], risk=[0.5, 0.25])
    own = read_own_features(path, TAGGER, catalog())
    assert PointInTime(own=own).add(EVENTS[:3])["risk"].to_list() == [0.5, 0.25, None]


def test_own_features_from_after_their_event_are_refused(tmp_path: Path) -> None:
    """Planted: a value known a millisecond after its event came."""
    path = own_at(tmp_path, ["2026-02-01T00:00:00Z", "2026-03-02T00:00:00.001Z"], risk=[1, 2])
    own = read_own_features(path, TAGGER, catalog())
    with pytest.raises(LabelLeak, match=r"own\.parquet: 1 row\(s\) are from after their event"):
        PointInTime(own=own).add(EVENTS[:3])


@pytest.mark.parametrize("name", ["label", "is_fraud", "Chargeback", "label_source", "outcome"])
def test_a_column_named_like_a_label_is_no_feature(tmp_path: Path, name: str) -> None:
    """Planted: the label offered under its own name."""
    path = own_at(tmp_path, ["2026-02-01T00:00:00Z"], **{name: [1]})
    with pytest.raises(LabelLeak, match=f"`{name}` is named like a label"):
        read_own_features(path, TAGGER, catalog())


@pytest.mark.parametrize(
    "copies",
    [
        [n % 3 == 0 for n in range(20)],
        [0 if n % 3 == 0 else 1 for n in range(20)],
        ["bad" if n % 3 == 0 else "fine" for n in range(20)],
        [7.5 if n % 3 == 0 else None for n in range(20)],
    ],
)
def test_a_column_that_tells_every_label_is_refused(tmp_path: Path, copies: list[object]) -> None:
    """Planted: the label under another name, turned round, in words, or as a gap."""
    path = own_at(tmp_path, ["2026-02-01T00:00:00Z"] * 20, segment=copies, risk=[*range(20)])
    rows = [f"e{n},{int(n % 3 == 0)},manual_review," for n in range(20)]
    beside = PointInTime(
        START + 300 * DAY,
        labels_of(tmp_path, *rows),
        read_own_features(path, TAGGER, catalog()),
    )
    for part in (EVENTS[:7], EVENTS[7:]):
        beside.add(part)
    assert beside.labelled == 20
    with pytest.raises(LabelLeak, match=r"`segment` tells the label of every event"):
        beside.close()


def test_a_column_that_errs_once_is_a_feature(tmp_path: Path) -> None:
    """A good feature is no leak: one event that it gets wrong is enough to know."""
    near = [n % 3 == 0 or n == 1 for n in range(20)]
    path = own_at(tmp_path, ["2026-02-01T00:00:00Z"] * 20, near=near)
    rows = [f"e{n},{int(n % 3 == 0)},manual_review," for n in range(20)]
    own = read_own_features(path, TAGGER, catalog())
    beside = PointInTime(START + 300 * DAY, labels_of(tmp_path, *rows), own)
    beside.add(EVENTS)
    beside.close()


def test_own_features_need_times_and_names_of_their_own(tmp_path: Path) -> None:
    """No time, no column, a column of the catalog, an event twice: each is said."""
    pl.DataFrame({"event_id": ["e0"], "user_orders_30d": [1]}).write_parquet(tmp_path / "o.parquet")
    with pytest.raises(FeaturesUnusable) as refused:
        read_own_features(tmp_path / "o.parquet", TAGGER, catalog())
    assert "column `known_at` is missing" in str(refused.value)
    assert "`user_orders_30d` is a fact of the catalog" in str(refused.value)
    rows = {"event_id": ["e0", "e0"], "known_at": ["2026-02-01T00:00:00Z", None], "risk": [1, 1]}
    pl.DataFrame(rows).write_parquet(tmp_path / "o.parquet")
    with pytest.raises(FeaturesUnusable) as refused:
        read_own_features(tmp_path / "o.parquet", TAGGER, catalog())
    assert "row 2: `known_at` must be a time" in str(refused.value)
    assert "row 2: its event has a row before" in str(refused.value)
