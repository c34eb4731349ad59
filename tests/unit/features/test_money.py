from __future__ import annotations

from decimal import Decimal

import pytest

from features.money import BadCurrencyTable, CurrencyTable, UnknownCurrency

TABLE = CurrencyTable(
    "CNY", {}, {"USD": Decimal("7.1"), "JPY": Decimal("0.048"), "KWD": Decimal(23)}
)


@pytest.mark.parametrize(
    ("amount", "currency", "base"),
    [
        (0, "USD", 0),
        (100, "USD", 710),
        (1000, "JPY", 4800),
        (1000, "KWD", 2300),
        (5, None, 5),
        (5, "CNY", 5),
        (10**15, "USD", 7_100_000_000_000_000),
    ],
)
def test_amounts_are_converted_with_their_own_minor_units(
    amount: int, currency: str | None, base: int
) -> None:
    assert TABLE.to_base_minor(amount, currency) == base


def test_a_half_is_rounded_to_even() -> None:
    table = CurrencyTable("EUR", {}, {"USD": Decimal("0.5")})
    assert [table.to_base_minor(amount, "USD") for amount in (1, 3, 5, 7)] == [0, 2, 2, 4]


def test_the_settings_may_name_another_minor_unit() -> None:
    table = CurrencyTable("CNY", {"XTS": 4}, {"XTS": Decimal(1)})
    assert table.to_base_minor(12_345, "XTS") == 123


def test_a_currency_without_a_rate_is_not_guessed() -> None:
    assert "EUR" not in TABLE
    with pytest.raises(UnknownCurrency, match="EUR"):
        TABLE.to_base_minor(1, "EUR")


@pytest.mark.parametrize(
    ("base", "units", "rates"),
    [
        ("cny", {}, {}),
        ("CNY", {}, {"US": Decimal(1)}),
        ("CNY", {}, {"USD": Decimal(0)}),
        ("CNY", {}, {"USD": Decimal(-1)}),
        ("CNY", {}, {"USD": Decimal("NaN")}),
        ("CNY", {"USD": 12}, {"USD": Decimal(1)}),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(
    base: str, units: dict[str, int], rates: dict[str, Decimal]
) -> None:
    with pytest.raises(BadCurrencyTable):
        CurrencyTable(base, units, rates)
