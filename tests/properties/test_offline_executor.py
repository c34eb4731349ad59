"""The offline executor against the store of the service and an oracle that re-scans everything."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalog import Catalog
from features.catalog_check import MEASURES, OUTCOMES
from features.entities import ENTITY_KINDS
from features.history import HistoryEvent
from features.velocity.memory_store import MemoryVelocityStore
from tests.offline import computed, walked
from tests.oracles.velocity_oracle import START_MS, VelocityOracle

KINDS = ("user", "device", "user+device")
TYPES = ("login", "checkout", "payment")
WINDOWS = ("1s", "2s", "20s", "131s")
FILTERS = (
    "login.succeeded",
    'event.type != "login" || login.succeeded',
    "order.amount_base_minor < 5",
    'order.currency == "CNY" && order.amount_base_minor > 2',
)
OF = {
    "sum": ("order.amount_base_minor",),
    "mean": ("order.amount_base_minor",),
    "min": ("order.amount_base_minor", "device.timezone_offset_minutes"),
    "max": ("order.amount_base_minor", "device.timezone_offset_minutes"),
    "distinct": ("ip", "email", "order.currency", "order.amount_base_minor", "login.succeeded"),
}


@st.composite
def series(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """One row of a catalog: any measure of any kind, read and recorded by any types."""
    kind, measure = draw(st.sampled_from(KINDS)), draw(st.sampled_from(MEASURES))
    word = "_".join(ENTITY_KINDS[part][1] for part in kind.split("+"))
    is_seen = measure.endswith("_seen")
    types = draw(st.permutations(TYPES))
    events = draw(st.integers(1, 3))
    readers = types[events : events + draw(st.integers(0, 2))]
    windows = st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=3, unique=True)
    row = {
        "name": f"{word}_s{number}_{measure}",
        "entity": kind,
        "measure": measure,
        "windows": [draw(st.sampled_from(WINDOWS[:3]))] if is_seen else draw(windows),
        "events": list(types[:events]),
    }
    optional: dict[str, Any] = {
        "of": draw(st.sampled_from(OF[measure])) if measure in OF else None,
        "read_by": list(readers),
        "where": draw(st.none() | st.sampled_from(FILTERS)),
        "outcomes": draw(
            st.none() | st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=3, unique=True)
        ),
        "keep": draw(st.sampled_from([None, None, None, "200s"])),
    }
    return {**row, **{key: value for key, value in optional.items() if value}}


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """A catalog of up to nine series; each kind has a count, that novelty can lean on."""
    rows = [draw(series(number)) for number in range(draw(st.integers(1, 6)))]
    for kind in KINDS:
        word = "_".join(ENTITY_KINDS[part][1] for part in kind.split("+"))
        rows.append(
            {"name": f"{word}_all", "entity": kind, "measure": "count", "windows": ["2s"],
             "events": list(TYPES)}
        )  # fmt: skip
        for extra in [row for row in rows if row["entity"] == kind][5:-1]:
            rows.remove(extra)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.yaml"
        path.write_text(yaml.safe_dump({"series": rows}))
        return Catalog.load(path)


# Ties, edges of the windows, whole retentions of silence, and (unless `in_order`) clocks that run
# back by less and by more than any window.
forward = st.one_of(
    st.sampled_from(
        [0, 0, 0, 1, 999, 1000, 1001, 1999, 2000, 19_999, 20_000, 130_999, 131_000, 200_000]
    ),
    st.integers(0, 1500),
)
back = st.one_of(forward, forward, st.integers(-2500, -1), st.sampled_from([-131_000, -400_000]))


few = st.sampled_from([0, 0, 0, 1, -1])  # -1: the event does not name one


@st.composite
def histories(draw: st.DrawFn) -> list[HistoryEvent]:
    """A stream with few entities, absent ones, absent fields, and outcomes."""
    gaps = draw(st.lists(draw(st.sampled_from([forward, back])), max_size=60))
    now, events = START_MS, []
    for position, gap in enumerate(gaps):
        now += gap
        of_kind = {kind: draw(few) for kind in ("user", "device", "ip", "email")}
        fields = {
            "event.type": draw(st.sampled_from(TYPES)),
            "login.succeeded": draw(st.none() | st.booleans()),
            "order.amount_base_minor": draw(st.none() | st.integers(0, 9)),
            "order.currency": draw(st.none() | st.sampled_from(["CNY", "EUR"])),
            "device.timezone_offset_minutes": draw(st.none() | st.integers(-2, 2)),
        }
        events.append(
            HistoryEvent(
                position=position,
                observed_ms=now,
                occurred_ms=now,
                event_tag=f"e{position}",
                outcome=draw(st.none() | st.sampled_from(OUTCOMES)),
                tags={kind: f"{kind}-{n}" for kind, n in of_kind.items() if n >= 0},
                fields={name: value for name, value in fields.items() if value is not None},
                facts={},
            )
        )
    return events


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@given(catalog=catalogs(), events=histories())
@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
def test_history_gives_what_the_store_and_the_oracle_gave(
    catalog: Catalog, events: list[HistoryEvent]
) -> None:
    """Any series over any stream: the offline value is the online one and the re-scanned one."""
    oracle = list(walked(catalog, events, VelocityOracle()))
    assert list(walked(catalog, events, MemoryVelocityStore())) == oracle
    for known, expected in zip(computed(catalog, events), oracle, strict=True):
        series_only = {n: v for n, v in known.items() if not n.endswith("_is_new")}
        assert _typed(series_only) == _typed(expected)


@given(catalog=catalogs(), events=histories(), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_how_a_history_is_cut_changes_nothing(
    catalog: Catalog, events: list[HistoryEvent], data: st.DataObject
) -> None:
    """Any cuts into chunks give the features of one chunk."""
    cuts = data.draw(st.lists(st.integers(0, len(events)), max_size=6))
    assert computed(catalog, events, *cuts) == computed(catalog, events)


def _typed(known: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    return {name: (type(value), value) for name, value in known.items()}
