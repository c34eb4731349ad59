"""How are the numbers of a result written? The same in every report.

Invariant: what was not counted is a dash, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DASH = "-"


def number(value: int | None, *, sign: bool = False) -> str:
    """Write a count.

    >>> number(1234567), number(12, sign=True), number(None)
    ('1,234,567', '+12', '-')
    """
    if value is None:
        return DASH
    return f"{value:+,}" if sign and value else f"{value:,}"


def money(minor: int | None, currency: Mapping[str, Any], *, sign: bool = False) -> str:
    """Write an amount in minor units.

    >>> money(123456, {"code": "CNY", "digits": 2})
    'CNY 1,234.56'
    >>> money(-5, {"code": "JPY", "digits": 0}, sign=True)
    'JPY -5'
    """
    if minor is None:
        return DASH
    digits = int(currency["digits"])
    whole, part = divmod(abs(minor), 10**digits)
    text = f"{whole:,}" + (f".{part:0{digits}}" if digits else "")
    before = "-" if minor < 0 else "+" if sign and minor > 0 else ""
    return f"{currency['code']} {before}{text}"


def percent(value: float | None, *, sign: bool = False) -> str:
    """Write a share with as many digits as tell small ones apart.

    >>> percent(0.1234), percent(0.00123), percent(0.5, sign=True), percent(None)
    ('12.3 %', '0.123 %', '+50.0 %', '-')
    """
    if value is None:
        return DASH
    digits = 1 if abs(value) >= 0.01 or not value else 3
    return f"{100 * value:{'+' if sign and value else ''}.{digits}f} %"


def between(found: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    """Write the interval of a share, or of a change of one.

    >>> between({"value": 0.5, "low": 0.25, "high": 0.75})
    '25.0 … 75.0 %'
    """
    if found is None:
        return ""
    low, high = (percent(found[edge], sign=sign) for edge in ("low", "high"))
    return f"{low.removesuffix(' %')} … {high}"


def shared(found: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    """Write a share of the result with its interval, or a change of one in percentage points."""
    if found is None:
        return DASH
    return f"{percent(found['value'], sign=sign)} ({between(found, sign=sign)})"


def ratio(part: int, whole: int) -> float | None:
    """Return a share, None of nothing."""
    return part / whole if whole else None


def when(text: str | None) -> str:
    """Write a time to the minute.

    >>> when("2026-11-22T08:15:30+00:00")
    '2026-11-22 08:15'
    """
    return DASH if text is None else text[:16].replace("T", " ")
