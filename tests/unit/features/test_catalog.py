from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from features.catalog import DEFAULT_PATH, Catalog, CatalogError
from features.catalog_check import MEASURES, OUTCOMES
from features.entities import ENTITY_KINDS
from features.event_types import EVENT_TYPES
from features.fields import FIELD_TYPES, PRESENCE
from rules.decision import Outcome

SERIES_NAMES = set(MEASURES)


def test_the_shipped_catalog_offers_every_field_and_presence(catalog: Catalog) -> None:
    assert set(FIELD_TYPES) | set(PRESENCE) <= set(catalog.fact_types)
    assert set(catalog.fact_types.values()) == {"int", "double", "bool", "string"}


def test_the_model_reads_forty_or_more_numbers_and_bools(catalog: Catalog) -> None:
    assert len(catalog.model_features) >= 40
    assert len(set(catalog.model_features)) == len(catalog.model_features)
    assert {catalog.fact_types[name] for name in catalog.model_features} <= {
        "int",
        "double",
        "bool",
    }


def test_every_kind_of_entity_has_a_series(catalog: Catalog) -> None:
    kinds = {kind for name in EVENT_TYPES for kind in catalog.plan(name).entities}
    assert set(ENTITY_KINDS) <= kinds


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_plan_is_what_the_store_needs(catalog: Catalog, event_type: str) -> None:
    plan = catalog.plan(event_type)
    assert plan is catalog.plan(event_type)
    for kind, of_kind in plan.entities.items():
        for series in of_kind:
            assert series.entity == kind
            assert series.measure in SERIES_NAMES
            assert series.windows_ms == tuple(sorted(set(series.windows_ms)))
            assert series.retention_ms >= series.windows_ms[-1]
            assert series.where < len(plan.filters)
            if series.measure.endswith("_seen"):
                assert len(series.features) == 1
            else:
                assert len(series.features) == len(series.windows_ms)
            assert set(series.features) <= set(catalog.fact_types)


def test_features_are_named_entity_what_window(catalog: Catalog) -> None:
    by_name = {
        series.name: series
        for name in EVENT_TYPES
        for of_kind in catalog.plan(name).entities.values()
        for series in of_kind
    }
    assert by_name["user_returns"].features == (
        "user_returns_7d",
        "user_returns_30d",
        "user_returns_90d",
    )
    assert by_name["device_first_seen"].features == ("device_first_seen_seconds",)
    assert catalog.fact_types["device_is_new"] == "bool"


def test_what_the_type_alone_decides_is_no_filter_of_its_plan(catalog: Catalog) -> None:
    checkout, login = catalog.plan("checkout"), catalog.plan("login")
    assert checkout.filters == ()
    assert "login.succeeded == false" in [condition.source for condition in login.filters]
    users = {series.name: series for series in checkout.entities["device"]}
    assert users["device_distinct_users"].where == -1
    assert users["device_distinct_users"].writes
    assert not users["device_signups"].writes


def test_equal_content_has_an_equal_version_whatever_its_looks(tmp_path: Path) -> None:
    text = DEFAULT_PATH.read_text("utf-8")
    same = tmp_path / "same.yaml"
    same.write_text(
        "# another comment\n" + text.replace("windows: [1h, 24h]", "windows: [ 1h,  24h ]")
    )
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("windows: [10m, 1h]", "windows: [15m, 1h]"))
    shipped = Catalog.load()
    assert Catalog.load(same).version == shipped.version
    assert Catalog.load(other).version != shipped.version
    assert shipped.version.startswith(shipped.short_version)
    assert len(shipped.version) == 64


def test_the_schema_hash_moves_with_the_model_inputs_only(tmp_path: Path) -> None:
    text = DEFAULT_PATH.read_text("utf-8")
    shipped = Catalog.load()
    variants = {
        "fewer rules fields": (text.replace("  - {name: login.method, type: string}\n", ""), True),
        "another filter": (text.replace("< 5000", "< 4000"), False),
        "another window": (text.replace("windows: [10m, 1h]", "windows: [15m, 1h]"), False),
    }
    for name, (changed, is_same) in variants.items():
        path = tmp_path / "changed.yaml"
        path.write_text(changed)
        assert (Catalog.load(path).schema_hash == shipped.schema_hash) is is_same, name


def test_no_two_names_of_a_catalog_are_equal(catalog: Catalog) -> None:
    names = [
        feature
        for name in EVENT_TYPES
        for of_kind in catalog.plan(name).entities.values()
        for series in of_kind
        for feature in series.features
    ]
    by_type = itertools.groupby(sorted(set(names)))
    assert all(len(list(group)) == 1 for _, group in by_type)
    assert set(names) <= set(catalog.fact_types)


def one_series(folder: Path, **keys: str) -> Catalog:
    """Load a catalog of one series, its keys changed."""
    row = {
        "name": "user_orders",
        "entity": "user",
        "measure": "count",
        "windows": "[1h]",
        "events": "[checkout]",
        **keys,
    }
    path = folder / "one.yaml"
    keys_and_values = ", ".join(f"{key}: {value}" for key, value in row.items())
    path.write_text(f"series:\n  - {{{keys_and_values}}}\n")
    return Catalog.load(path)


def test_outcomes_are_those_of_the_rules() -> None:
    assert tuple(outcome.value for outcome in Outcome) == OUTCOMES


def test_a_series_of_outcomes_is_no_input_of_the_model(tmp_path: Path) -> None:
    """A model that learns from what its own answers let through repeats itself."""
    plain, granted = one_series(tmp_path), one_series(tmp_path, outcomes="[approve]")
    assert "user_orders_1h" in plain.model_features
    assert "user_orders_1h" not in granted.model_features
    assert granted.fact_types["user_orders_1h"] == "int"


def test_a_series_may_be_kept_longer_than_its_longest_window(tmp_path: Path) -> None:
    [series] = one_series(tmp_path, keep="400d").plan("checkout").entities["user"]
    assert (series.retention_ms, series.windows_ms) == (400 * 86_400_000, (3_600_000,))


def test_a_mean_is_a_double_and_an_extreme_a_whole_number(tmp_path: Path) -> None:
    of = {"of": "order.amount_base_minor"}
    assert one_series(tmp_path, measure="mean", **of).fact_types["user_orders_1h"] == "double"
    assert one_series(tmp_path, measure="max", **of).fact_types["user_orders_1h"] == "int"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"entity": "user+user"}, "two different ones"),
        ({"entity": "user+device+ip", "name": "user_device_ip_orders"}, "one kind, or two"),
        (
            {"entity": "device+user", "name": "device_user_orders"},
            "write the pair as `user+dev",
        ),
        ({"entity": "user+device"}, "begin with `user_device_`"),
        ({"entity": "user+devise", "name": "user_devise_orders"}, "Did you mean"),
        ({"windows": "[401d]"}, "longer than 400d"),
        ({"keep": "30m"}, "`keep` must be a duration from the longest window to 400d"),
        ({"keep": "9999d"}, "`keep` must be"),
        ({"outcomes": "[aprove]"}, "Did you mean"),
        ({"outcomes": "[approve]", "model": "true"}, "cannot teach the model"),
        ({"measure": "mean"}, "`of` has the unknown value"),
        ({"measure": "sum", "of": "device.timezone_offset_minutes"}, "unknown value"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_its_reason(
    tmp_path: Path, keys: dict[str, str], sentence: str
) -> None:
    with pytest.raises(CatalogError) as caught:
        one_series(tmp_path, **keys)
    assert sentence in str(caught.value)


def test_every_fact_has_a_sentence_in_both_languages(catalog: Catalog) -> None:
    """What a fact is, and when it is unknown, can be read in English and in Chinese."""
    assert {entry.name for entry in catalog.entries} == set(catalog.fact_types)
    for entry in catalog.entries:
        for sentence in (entry.text, entry.missing):
            assert set(sentence) == {"en", "zh"}
            assert sentence["en"].isascii(), entry.name
            assert any("\u4e00" <= letter <= "\u9fff" for letter in sentence["zh"]), entry.name
            assert sentence["en"] != entry.name
            assert "sss" not in sentence["en"], entry.name
