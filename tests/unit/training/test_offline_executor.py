"""Single promises of the offline executor; those over any stream are in tests/properties."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from features.catalog import Catalog
from features.entities import entities_of
from features.event import parse_event
from features.fields import fields_of
from features.history import HistoryEvent
from features.money import CurrencyTable
from features.velocity.store import MOST_VALUES
from service.clock import epoch_ms
from tests.bench.offline_bench import synthetic_history
from tests.offline import TAGGER, computed, frame_of, history_at
from training.dataset import OfflineKnowledge
from training.offline import lookup
from training.offline.declared import feature_types
from training.offline.errors import HistoryUnusable
from training.offline.executor import Executor
from training.offline.history_file import open_history
from training.offline.run import compute_features
from training.simulator.stream import Traffic, simulate

START_MS = 1_760_000_000_000
DAY_MS = 86_400_000
CATALOG = """
series:
  - {name: user_logins, entity: user, measure: count, windows: [1s], events: [login],
     read_by: [checkout]}
  - {name: user_ips, entity: user, measure: distinct, of: ip, windows: [1s, 1d], events: [login],
     read_by: [checkout]}
  - {name: user_granted, entity: user, measure: count, windows: [1d], events: [login],
     outcomes: [approve]}
  - {name: user_first_seen, entity: user, measure: first_seen, windows: [1d], events: [login]}
derived:
  - {name: user_logins_share, numerator: user_logins_1s, denominator: user_ips_1s}
"""


@pytest.fixture
def small(tmp_path: Path) -> Catalog:
    """A catalog of four series and a ratio."""
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    return Catalog.load(path)


def logins(
    *at_ms: int, ips: Iterable[str] = (), type_: str = "login", **more: Any
) -> list[HistoryEvent]:
    """Logins of one user, so many milliseconds after the start."""
    from_ip = iter(ips)
    return [
        HistoryEvent(
            position=number,
            observed_ms=START_MS + at,
            occurred_ms=START_MS + at,
            event_tag=f"e{number}",
            outcome=more.get("outcome"),
            tags={"user": "u", "ip": next(from_ip, "ip")},
            fields={"event.type": type_},
            facts={},
        )
        for number, at in enumerate(at_ms)
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [lookup._KEY_LIMIT, 1])
def test_a_window_ends_where_it_began_one_length_ago(
    small: Catalog, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """What lies exactly the window's length back is outside, a millisecond later is inside."""
    monkeypatch.setattr(lookup, "_KEY_LIMIT", limit)
    for cuts in ((), (1,)):
        assert computed(small, logins(0, 999), *cuts)[1]["user_logins_1s"] == 1
        assert computed(small, logins(0, 1000), *cuts)[1]["user_logins_1s"] == 0


def test_no_event_sees_itself_and_ties_see_those_before(small: Catalog) -> None:
    """Of events of one millisecond the first sees none, the second one, the third two."""
    assert [known["user_logins_1s"] for known in computed(small, logins(0, 0, 0))] == [0, 1, 2]


def test_an_outcome_counts_for_later_events_only(small: Catalog) -> None:
    """An approved event is counted by the next one, not by itself, and other outcomes never."""
    approved = computed(small, logins(0, 1, outcome="approve"))
    assert [known["user_granted_1d"] for known in approved] == [0, 1]
    declined = computed(small, logins(0, 1, outcome="decline"))
    assert [known["user_granted_1d"] for known in declined] == [0, 0]


def test_what_a_type_does_not_read_is_unknown(small: Catalog) -> None:
    """A type that only reads gets no more than it reads; an unknown type gets nothing."""
    events = logins(0) + [event._replace(position=1) for event in logins(5, type_="checkout")]
    events += [event._replace(position=2) for event in logins(6, type_="no_such_type")]
    assert computed(small, events)[1:] == [
        {"user_logins_1s": 1, "user_ips_1s": 1, "user_ips_1d": 1, "user_logins_share": 1.0},
        {},
    ]


def test_an_event_that_names_nobody_knows_nothing(small: Catalog) -> None:
    """Without the entity there is no count, and nobody is new."""
    nobody = logins(0)[0]._replace(tags={"ip": "ip"})
    assert computed(small, [nobody]) == [{}]


@pytest.mark.parametrize("cuts", [(), (1,)])
def test_clocks_that_run_back_stand_still_for_an_entity(
    small: Catalog, cuts: tuple[int, ...]
) -> None:
    """An event observed before the last record of its entity reads at the time of that record."""
    known = computed(small, logins(5000, 3900), *cuts)
    assert known[1]["user_logins_1s"] == 1
    assert known[1]["user_first_seen_seconds"] == 0.0


def test_a_read_leaves_no_time_behind(small: Catalog) -> None:
    """After a read that was too late to see anything, an earlier event sees it again."""
    late = logins(0, 1500, type_="checkout")[1]
    known = computed(small, [logins(0)[0], late, logins(0, 0, 500)[2]])
    assert [one["user_ips_1s"] for one in known] == [0, 0, 1]
    assert [one["user_logins_1s"] for one in known] == [0, 0, 1]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2)])
def test_an_entity_is_forgotten_after_exactly_its_retention(
    small: Catalog, cuts: tuple[int, ...]
) -> None:
    """Silent for a day less a millisecond it is known, silent for a day it is new."""
    known = computed(small, logins(0, DAY_MS - 1, DAY_MS), *cuts)
    assert [one.get("user_first_seen_seconds") for one in known] == [None, 86_399.999, 86_400.0]
    anew = computed(small, logins(0, DAY_MS, DAY_MS + 5), *cuts)
    assert [one.get("user_first_seen_seconds") for one in anew] == [None, None, 0.005]
    assert [one["user_is_new"] for one in anew] == [True, True, False]


def test_a_value_is_known_again_in_a_later_chunk(small: Catalog) -> None:
    """The same address before and after a cut is one address."""
    known = computed(small, logins(0, 10, 20, ips=["a", "b", "a"]), 1, 2)
    assert [one["user_ips_1d"] for one in known] == [0, 1, 2]
    known = computed(small, logins(0, 10, 20, ips=["a", "a", "b"]), 1, 2)
    assert [one["user_ips_1d"] for one in known] == [0, 1, 1]


def test_distinct_says_at_least_from_its_limit_on(small: Catalog) -> None:
    """As many different values as the store keeps are told apart, and no more."""
    size = MOST_VALUES + 3
    known = computed(small, logins(*range(size), ips=map(str, range(size))))
    assert known[MOST_VALUES - 1]["user_ips_1d"] == MOST_VALUES - 1
    assert [one["user_ips_1d"] for one in known[-2:]] == [MOST_VALUES, MOST_VALUES]


def test_times_and_entities_that_exceed_one_key_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With ranks in the place of times, features are the same."""
    catalog, events = Catalog.load(), synthetic_history(3000, seed=3, days=10)
    expected = Executor(catalog).compute(events, None)
    monkeypatch.setattr(lookup, "_KEY_LIMIT", 1)
    assert Executor(catalog).compute(events, None).equals(expected)


def test_every_computed_fact_is_the_one_of_serving() -> None:
    """Novelty and ratios, too: over a simulated stream each fact is that of `assemble`."""
    catalog, currencies = Catalog.load(), CurrencyTable("CNY", {}, {})
    serving, history, expected = OfflineKnowledge(catalog, currencies), [], []
    until = datetime(2026, 6, 1, tzinfo=UTC)
    for position, labelled in enumerate(simulate(Traffic(2500, 5, until - timedelta(7), until))):
        event = parse_event(orjson.dumps(labelled.event), currencies)
        at = epoch_ms(event.occurred_at)
        history.append(
            HistoryEvent(
                position, at, at, event.event_id, None, entities_of(event, TAGGER),
                fields_of(event, currencies), {},
            )
        )  # fmt: skip
        facts = serving.facts_of(event).values
        expected.append({name: facts[name] for name in feature_types(catalog) if name in facts})
    found = computed(catalog, history, 1000, 1001)
    assert found == expected
    assert [list(map(type, row.values())) for row in map(_sorted, found)] == [
        list(map(type, row.values())) for row in map(_sorted, expected)
    ]


def _sorted(row: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(row.items()))


def test_what_is_kept_between_chunks_does_not_grow_with_history(small: Catalog) -> None:
    """Ten times the history: only the records of the last retention are kept, and their codes."""
    kept = []
    for days in (10, 100):
        events, executor = synthetic_history(days * 100, seed=1, days=days), Executor(small)
        for start in range(0, events.height, 250):
            rest = events[start + 250 :]["observed_ms"].to_list()
            executor.compute(events[start : start + 250], min(rest, default=None))
            if len(rest) == 250:
                kept.append(sum(map(len, executor._kept.values())))
                assert max(codes._known.height for codes in executor._codes.values()) < 150
    assert 0 < kept[1] < 2 * kept[0] < 4 * 100


def test_a_history_out_of_order_or_incomplete_is_refused(small: Catalog, tmp_path: Path) -> None:
    """The file, the row or the column, and what to do are named."""
    path = history_at(tmp_path / "h.parquet", reversed(logins(0, 1, 2)))
    with pytest.raises(HistoryUnusable, match=r"h\.parquet, row 2: `position` .*sort the file"):
        open_history(path, 2)
    with pytest.raises(HistoryUnusable, match=r"h\.parquet, row 2: `position`"):
        open_history(path, 1)
    frame_of(logins(0)).rename({"observed_ms": "observed_msec"}).write_parquet(path)
    with pytest.raises(HistoryUnusable, match=r"column `observed_ms` is missing\. Did you mean"):
        open_history(path, 2)
    frame_of(logins(0)).with_columns(position=pl.lit("1")).write_parquet(path)
    with pytest.raises(HistoryUnusable, match=r"column `position` holds String, not Int64"):
        open_history(path, 2)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(HistoryUnusable, match=r"h\.parquet cannot be read as Parquet"):
        open_history(path, 2)
    frame_of([]).write_parquet(path)
    with pytest.raises(HistoryUnusable, match=r"h\.parquet holds no events"):
        compute_features(open_history(path, 2), tmp_path / "out.parquet", small)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["catalog.yaml", "h.parquet"]


def test_the_output_has_the_rows_of_the_input_in_order(small: Catalog, tmp_path: Path) -> None:
    """Row by row the tags of the input, whatever the chunks; fields only where asked for."""
    history = open_history(history_at(tmp_path / "h.parquet", logins(0, 0, 500, 3000)), 3)
    compute_features(history, tmp_path / "o.parquet", small, with_fields=True)
    found = pl.read_parquet(tmp_path / "o.parquet")
    assert found["event_tag"].to_list() == ["e0", "e1", "e2", "e3"]
    assert found["user_logins_1s"].to_list() == [0, 1, 2, 0]
    assert found["user_logins_share"].to_list() == [None, 1.0, 2.0, None]
    assert found["user_is_new"].to_list() == [True, False, False, False]
    assert "login.succeeded" in found.columns
    compute_features(history, tmp_path / "o.parquet", small)
    assert pl.read_parquet_schema(tmp_path / "o.parquet").keys() == {
        "event_tag", "observed_ms", "event.type", *feature_types(small),
    }  # fmt: skip
