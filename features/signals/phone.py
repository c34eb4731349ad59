"""What does a phone number say by itself?

Read with Google's libphonenumber (package phonenumberslite). A number without its country code is
read as one of the country that goods go to; without that it is unknown.
Invariant: total; a number that cannot be read is None, one that nobody can have is not valid.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

# Three features ask for the number of one event; a bound, as the keys are personal data.
NUMBERS_KEPT = 512

# libphonenumber's PhoneNumberType, in words that stay.
_KINDS = {
    0: "fixed_line",
    1: "mobile",
    2: "fixed_line_or_mobile",
    3: "toll_free",
    4: "premium_rate",
    5: "shared_cost",
    6: "voip",
    7: "personal",
    8: "pager",
    9: "company",
    10: "voicemail",
}
_NO_COUNTRIES = frozenset(("001", "ZZ"))  # numbers of no country, such as +800


class PhoneNumber(NamedTuple):
    """Country (ISO 3166; some numbers have none), kind, and whether a country's plan has it."""

    country: str | None
    kind: str
    is_valid: bool


@lru_cache(maxsize=NUMBERS_KEPT)
def phone_number(phone: str, country: str | None) -> PhoneNumber | None:
    """Read a number; `country` is for numbers without a country code. None: cannot be read.

    >>> phone_number("+8613800138000", None)
    PhoneNumber(country='CN', kind='mobile', is_valid=True)
    >>> phone_number("020 7946 0018", "GB").kind, phone_number("020 7946 0018", None)
    ('fixed_line', None)
    >>> phone_number("+86 1", None)
    PhoneNumber(country=None, kind='unknown', is_valid=False)
    """
    from phonenumbers import (
        NumberParseException,
        number_type,
        parse,
        region_code_for_country_code,
        region_code_for_number,
    )

    # No country's own numbers begin with 00, the prefix that most dial for abroad.
    written = f"+{phone[2:]}" if phone.startswith("00") else phone
    try:
        number = parse(written, country)
    except NumberParseException:
        told = country is not None or written.startswith("+")
        return PhoneNumber(None, "unknown", is_valid=False) if told else None
    region = region_code_for_number(number)
    kind = _KINDS.get(number_type(number), "unknown")
    is_valid = region is not None and kind != "unknown"
    if region is None and number.country_code is not None:
        region = region_code_for_country_code(number.country_code)
    return PhoneNumber(None if region in _NO_COUNTRIES else region, kind, is_valid)


def warm() -> None:
    """Load the plans of all countries, which would otherwise happen in the first events."""
    from phonenumbers import PhoneMetadata

    PhoneMetadata.load_all()
    phone_number("+8613800138000", None)
