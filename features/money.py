"""How much is an amount in the shop's base currency?

Amounts are compared in base minor units only; rates come from the settings, as exact decimals.
Invariant: conversion is exact integer arithmetic with one rounding, half to even.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from features.errors import FeatureError


class UnknownCurrency(FeatureError):
    """The table has no rate for this currency."""

    code: ClassVar[str] = "UNKNOWN_CURRENCY"


class BadCurrencyTable(FeatureError):
    """The settings do not make a usable table."""

    code: ClassVar[str] = "BAD_CURRENCY_TABLE"


# ISO 4217, amendment 176: currencies whose minor unit is not 1/100. All others have two digits.
_NOT_TWO_DIGITS = {
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def minor_units(currency: str) -> int:
    """Give the number of decimal digits of an ISO 4217 currency.

    >>> minor_units("CNY"), minor_units("JPY"), minor_units("KWD")
    (2, 0, 3)
    """
    return _NOT_TWO_DIGITS.get(currency, 2)


class CurrencyTable:
    """Rates into one base currency: `rates[c]` is the price of one whole unit of c, in base units.

    `minor_units` overrides ISO 4217 for currencies that it names.

    >>> table = CurrencyTable("CNY", {}, {"USD": Decimal("7.1"), "JPY": Decimal("0.048")})
    >>> table.to_base_minor(1000, "USD"), table.to_base_minor(1000, "JPY")
    (7100, 4800)
    """

    def __init__(
        self, base: str, minor_units: Mapping[str, int], rates: Mapping[str, Decimal]
    ) -> None:
        """Check and freeze the table; raise `BadCurrencyTable` with a text for the operator."""
        self.base = base
        self._ratios: dict[str, tuple[int, int]] = {}
        for currency, rate in {**rates, base: Decimal(1)}.items():
            self._ratios[currency] = _ratio(base, minor_units, currency, Decimal(rate))

    @property
    def currencies(self) -> tuple[str, ...]:
        """List every currency that has a rate, base included, in alphabetical order."""
        return tuple(sorted(self._ratios))

    def __contains__(self, currency: object) -> bool:
        return currency in self._ratios

    def to_base_minor(self, amount_minor: int, currency: str | None) -> int:
        """Convert to base minor units; None means the base currency. May raise `UnknownCurrency`.

        >>> CurrencyTable("CNY", {}, {}).to_base_minor(12050, None)
        12050
        """
        if currency is None or currency == self.base:
            return amount_minor
        try:
            numerator, denominator = self._ratios[currency]
        except KeyError:
            raise UnknownCurrency(f"no rate for {currency!r}") from None
        quotient, rest = divmod(amount_minor * numerator, denominator)
        doubled = 2 * rest
        if doubled > denominator or (doubled == denominator and quotient & 1):
            quotient += 1
        return quotient


def _ratio(
    base: str, overrides: Mapping[str, int], currency: str, rate: Decimal
) -> tuple[int, int]:
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise BadCurrencyTable(f"{currency!r} is not an ISO 4217 code of three capital letters")
    if not rate.is_finite() or rate <= 0:
        raise BadCurrencyTable(f"the rate of {currency} must be a positive number, not {rate}")
    digits = {c: overrides.get(c, minor_units(c)) for c in (base, currency)}
    if not all(0 <= d <= 8 for d in digits.values()):
        raise BadCurrencyTable(f"the minor unit of {currency} or {base} must be 0 to 8 digits")
    ratio = Fraction(rate) * Fraction(10) ** (digits[base] - digits[currency])
    return ratio.numerator, ratio.denominator
