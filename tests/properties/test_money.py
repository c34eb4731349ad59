"""Amounts in one currency can be compared, whatever they were in."""

from __future__ import annotations

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from features.event_fields import MAX_AMOUNT_MINOR
from features.money import CurrencyTable, minor_units

amounts = st.integers(0, MAX_AMOUNT_MINOR)
codes = st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF"])
rates = st.decimals("0.000001", "1000000", places=6)


@given(amounts, codes, rates, st.sampled_from(["CNY", "JPY", "KWD"]))
def test_conversion_is_exact_decimal_arithmetic_rounded_once(
    amount: int, code: str, rate: Decimal, base: str
) -> None:
    if code == base:
        rate = Decimal(1)
    table = CurrencyTable(base, {}, {code: rate})
    with localcontext() as context:
        context.prec = 100
        exact = Decimal(amount).scaleb(minor_units(base) - minor_units(code)) * rate
        assert table.to_base_minor(amount, code) == int(exact.to_integral_value("ROUND_HALF_EVEN"))


@given(amounts, amounts, codes, rates)
def test_more_is_never_worth_less(one: int, other: int, code: str, rate: Decimal) -> None:
    table = CurrencyTable("CNY", {}, {code: rate})
    low, high = sorted((one, other))
    assert table.to_base_minor(low, code) <= table.to_base_minor(high, code)


@given(amounts)
def test_the_base_currency_is_left_as_it_is(amount: int) -> None:
    table = CurrencyTable("CNY", {}, {})
    assert table.to_base_minor(amount, "CNY") == table.to_base_minor(amount, None) == amount
