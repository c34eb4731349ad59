"""Whether money, invoice and goods of a settlement agree."""

from __future__ import annotations

from typing import Any

import pytest

from features.event_features import EVENT_FUNCTIONS, Stated
from features.fields import fields_of
from features.money import CurrencyTable
from tests.unit.features.conftest import Build

MONEY = {"amount_minor": 12050, "payer": "u-9", "payee": "m-3"}
INVOICE = {"amount_minor": 12050, "issuer": "m-3", "recipient": "u-9"}
GOODS = {"amount_minor": 12050, "sender": "m-3", "receiver": "u-9"}


@pytest.mark.parametrize(
    ("function", "settlement", "value"),
    [
        ("missing_flows", {}, 0),
        ("missing_flows", {"money": None, "goods": None}, 2),
        ("amount_gap", {}, 0.0),
        ("amount_gap", {"goods": GOODS | {"amount_minor": 6025}}, 0.5),
        ("amount_gap", {"refunded_minor": 6025}, 0.5),
        ("amount_gap", {"money": None, "invoice": None, "goods": None}, None),
        ("paid_share", {}, 1.0),
        ("paid_share", {"refunded_minor": 12050}, None),
        ("paid_share", {"refunded_minor": 99999}, None),
        ("paid_share", {"money": None}, None),
        ("invoiced_share", {"invoice": INVOICE | {"amount_minor": 24100}}, 2.0),
        ("invoiced_share", {"invoice": None}, None),
        ("delivered_share", {"goods": GOODS | {"amount_minor": 0}}, 0.0),
        ("delivered_share", {"money": MONEY | {"amount_minor": 0}}, None),
        ("sellers_differ", {}, False),
        ("sellers_differ", {"goods": GOODS | {"sender": "m-4"}}, True),
        ("sellers_differ", {"goods": None, "invoice": None}, None),
        ("buyers_differ", {}, False),
        ("buyers_differ", {"invoice": INVOICE | {"recipient": "u-1"}}, True),
        ("buyers_differ", {"money": {"amount_minor": 1}, "goods": None}, None),
        ("payee_is_merchant", {}, True),
        ("payee_is_merchant", {"money": MONEY | {"payee": "m-4"}}, False),
        ("payee_is_merchant", {"money": {"amount_minor": 1}}, None),
        ("trades_with_itself", {}, False),
        ("trades_with_itself", {"money": MONEY | {"payer": "m-3"}}, True),
        ("refunded_share", {"refunded_minor": 6025}, 0.5),
        ("refunded_share", {"refunded_minor": None}, None),
    ],
)
def test_a_settlement_says_this(
    build: Build,
    currencies: CurrencyTable,
    function: str,
    settlement: dict[str, Any],
    value: Any,
) -> None:
    """A flow that did not take place agrees with nothing and contradicts nothing."""
    event = build("settlement", settlement=settlement)
    stated = Stated(event, fields_of(event, currencies), currencies)
    assert EVENT_FUNCTIONS[f"settlement_{function}"].function(stated) == value


def test_amounts_are_facts_in_the_base_currency_and_parties_are_none(
    build: Build, currencies: CurrencyTable
) -> None:
    """Rules see how much flowed; who paid whom is compared and kept nowhere."""
    event = build("settlement", settlement={"currency": "USD", "refunded_minor": 1000})
    fields = fields_of(event, currencies)
    assert {name: value for name, value in fields.items() if name.startswith("settlement.")} == {
        "settlement.order_amount_base_minor": 85555,
        "settlement.refunded_base_minor": 7100,
        "settlement.paid_base_minor": 85555,
        "settlement.invoiced_base_minor": 85555,
        "settlement.delivered_base_minor": 85555,
    }
    assert not {"m-3", "u-9"} & set(map(str, fields.values()))
