from __future__ import annotations

from math import isnan
from pathlib import Path

import pytest

from features.catalog import Catalog
from features.event import parse_event
from features.event_types import EVENT_TYPES
from features.fields import PRESENCE, fields_of
from features.known_facts import known_facts
from features.money import CurrencyTable
from features.observe import observation_of
from features.stated import Stated
from features.tags import Tagger
from features.vector import assemble
from tests.unit.features.conftest import Build

PYTHON_TYPES = {"int": int, "double": float, "bool": bool, "string": str}


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_facts_hold_declared_names_of_declared_types_only(
    build: Build, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable, kind: str
) -> None:
    event = build(kind)
    seen = observation_of(event, catalog, tagger, currencies, 1)
    answer: dict[str, int | float] = {
        name: 3.5 if catalog.fact_types[name] == "double" else 3
        for entity in seen.entities
        for read in entity.series
        for name in read.plan.features
    }
    facts = assemble(event, answer, catalog, currencies)
    for name, value in facts.values.items():
        assert type(value) is PYTHON_TYPES[catalog.fact_types[name]], name
    assert set(PRESENCE) | set(answer) <= set(facts.values) <= known_facts(catalog, kind)
    assert len(facts.row()) == len(catalog.model_features)


def test_a_row_holds_the_facts_in_order_and_nan_for_what_is_unknown(
    build: Build, catalog: Catalog, currencies: CurrencyTable
) -> None:
    facts = assemble(build("checkout"), {"user_orders_30d": 4}, catalog, currencies)
    row = dict(zip(catalog.model_features, facts.row(), strict=True))
    assert row["user_orders_30d"] == 4.0
    assert row["order.amount_base_minor"] == 12050.0
    assert row["device.is_emulator"] == 0.0
    assert isnan(row["user_orders_90d"])
    assert all(type(value) is float for value in row.values())


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_what_is_not_asked_of_customers_would_be_unknown(
    build: Build, catalog: Catalog, currencies: CurrencyTable, kind: str
) -> None:
    """Functions of trade are left out where they know nothing, and nowhere else."""
    event = build(kind)
    facts = assemble(event, {}, catalog, currencies).values
    stated = Stated(event, fields_of(event, currencies), currencies)
    for name, function in catalog.event_functions:
        assert facts.get(name) == function(stated), name


def test_who_answers_for_an_event_is_a_fact(
    build: Build, catalog: Catalog, currencies: CurrencyTable
) -> None:
    """Line of business and region are facts when the event states them, and else unknown."""
    told = assemble(
        build("login", business_line="grocery", region="cn_east"), {}, catalog, currencies
    )
    assert told.values["event.business_line"] == "grocery"
    assert told.values["event.region"] == "cn_east"
    untold = assemble(build("login"), {}, catalog, currencies).values
    assert not {"event.business_line", "event.region"} & set(untold)


def test_without_the_store_nothing_is_said_about_the_past(
    build: Build, catalog: Catalog, currencies: CurrencyTable
) -> None:
    facts = assemble(build("checkout"), {}, catalog, currencies).values
    assert "device_is_new" not in facts
    assert "user_orders_30d" not in facts


def test_a_device_is_new_when_the_store_answered_and_never_saw_it(
    build: Build, catalog: Catalog, currencies: CurrencyTable
) -> None:
    event, counts = build("checkout"), {"device_distinct_users_1h": 0}
    assert assemble(event, counts, catalog, currencies).values["device_is_new"] is True
    seen = counts | {"device_first_seen_seconds": 9.0}
    facts = assemble(event, seen, catalog, currencies).values
    assert facts["device_is_new"] is False
    assert facts["device_first_seen_seconds"] == 9.0


def test_what_was_never_seen_is_known_to_the_model_for_0_seconds(
    build: Build, catalog: Catalog, currencies: CurrencyTable
) -> None:
    """NaN is left for what is unknown: a store that did not answer, an event without a device."""
    place = catalog.model_places["device_first_seen_seconds"]
    event, counts = build("checkout"), {"device_distinct_users_1h": 0}
    new, away = (assemble(event, known, catalog, currencies) for known in (counts, {}))
    assert "device_first_seen_seconds" not in new.values
    assert new.row()[place] == 0.0
    assert isnan(away.row()[place])


def test_a_share_of_nothing_is_unknown(
    build: Build, catalog: Catalog, currencies: CurrencyTable
) -> None:
    event = build("return_request")
    share = "user_return_share_90d"
    counts = {"user_returns_90d": 3, "user_orders_90d": 4}
    assert assemble(event, counts, catalog, currencies).values[share] == 0.75
    counts["user_orders_90d"] = 0
    assert share not in assemble(event, counts, catalog, currencies).values


def test_a_part_that_is_absent_says_so_and_says_nothing_else(
    catalog: Catalog, currencies: CurrencyTable
) -> None:
    raw = b'{"event_id":"e","type":"checkout","occurred_at":"2026-11-22T08:15:30Z",'
    event = parse_event(raw + b'"order":{"id":"o","amount_minor":1},"device":{"platform":"ios"}}')
    facts = assemble(event, {}, catalog, currencies).values
    assert facts["has_order"] is True
    assert [name for name in PRESENCE if facts[name]] == ["has_order"]
    assert facts["device.platform"] == "ios"
    assert facts["order.currency"] == "CNY"
    assert not any(name.startswith(("payment.", "login.", "coupon.")) for name in facts)


def test_a_catalog_that_offers_fewer_fields_shows_fewer(
    build: Build, currencies: CurrencyTable, tmp_path: Path
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("fields:\n  - {name: order.amount_base_minor, type: int, model: true}\n")
    facts = assemble(build("checkout"), {}, Catalog.load(path), currencies)
    assert set(facts.values) == {"order.amount_base_minor", *PRESENCE}
    assert facts.row() == [12050.0]
