"""Series that rule sets declare."""

from __future__ import annotations

import pytest

from features.catalog import Catalog, CatalogError

CATALOG = Catalog.load()
SERIES = """
series:
  - {name: device_big_orders, entity: device, measure: count, windows: [3h, 1d],
     events: [checkout], where: 'order.amount_base_minor > 100000'}
derived:
  - {name: device_big_order_share_1d, numerator: device_big_orders_1d,
     denominator: device_big_orders_3h}
"""


def test_an_extension_adds_facts_and_leaves_the_model_as_it_is() -> None:
    """Rules may name the series, the event types count it, and the model's inputs are the same."""
    extended = CATALOG.extended([SERIES])
    assert extended.fact_types["device_big_orders_3h"] == "int"
    assert extended.fact_types["device_big_order_share_1d"] == "double"
    assert extended.model_features == CATALOG.model_features
    assert extended.schema_hash == CATALOG.schema_hash
    assert extended.version != CATALOG.version
    counted = {series.name for series in extended.plan("checkout").entities["device"]}
    before = {series.name for series in CATALOG.plan("checkout").entities["device"]}
    assert counted - before == {"device_big_orders"}


def test_what_two_sets_declare_alike_is_one_series() -> None:
    """The same declaration twice is one, and none at all is the catalog itself."""
    assert CATALOG.extended([SERIES, SERIES]).version == CATALOG.extended([SERIES]).version
    assert CATALOG.extended([]) is CATALOG


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SERIES.replace("device_big_orders,", "user_orders,"), "counts something else"),
        ("fields:\n  - {name: order.channel, type: string}\n", "series and derived only"),
        (SERIES.replace("measure: count", "measure: cuont"), "did you mean"),
        (SERIES.replace("where:", "model: true, where:"), "leave `model` out"),
        ("series: [", "is not YAML"),
    ],
)
def test_a_bad_extension_is_refused_with_its_line(text: str, said: str) -> None:
    """Whatever is wrong with a series names its file and line."""
    with pytest.raises(CatalogError) as caught:
        CATALOG.extended([text])
    assert said.lower() in str(caught.value).lower()
    assert str(caught.value).startswith("series.yaml:")
