"""What does a record of an IP table say, whoever made the table?

The layouts of GeoLite2 and GeoIP2 (Country, City, ASN, Anonymous IP), DB-IP, IPinfo (Lite, country
and ASN) and ip-location-db, told apart by the shape of each record.
Invariant: total; what a record does not say, or says in another shape, is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CODE = re.compile(r"[A-Z]{2}\Z")
# No countries: unknown, Europe, Asia and Pacific, proxies and satellites in older tables.
_NO_COUNTRIES = frozenset(("ZZ", "XX", "EU", "AP", "A1", "A2", "O1", "T1"))
_ASN = re.compile(r"(?:AS)?([0-9]{1,10})\Z", re.IGNORECASE)


def country_of(record: object) -> str | None:
    """Give the ISO 3166 code of a record's country.

    >>> country_of({"country": {"iso_code": "CN"}}), country_of({"country_code": "CN"})
    ('CN', 'CN')
    >>> country_of({"country": "China", "country_code": "CN"}), country_of({"country": "CN"})
    ('CN', 'CN')
    """
    if not isinstance(record, Mapping):
        return None
    code = record.get("country_code")
    for part in ("country", "registered_country"):
        if code is None:
            code = record.get(part)
            if isinstance(code, Mapping):
                code = code.get("iso_code")
    return country_code(code)


def country_code(code: object) -> str | None:
    """Give a country's code in capitals, None for anything else.

    >>> country_code("cn"), country_code("EU"), country_code("China")
    ('CN', None, None)
    """
    if not isinstance(code, str):
        return None
    code = code.strip().upper()
    return code if _CODE.match(code) and code not in _NO_COUNTRIES else None


def asn_of(record: object) -> int | None:
    """Give the autonomous system of a record.

    >>> asn_of({"autonomous_system_number": 64500}), asn_of({"asn": "AS64500"}), asn_of({})
    (64500, 64500, None)
    """
    if not isinstance(record, Mapping):
        return None
    number: Any = record.get("autonomous_system_number", record.get("asn"))
    if number is None:
        number = _traits(record).get("autonomous_system_number")
    if isinstance(number, int) and not isinstance(number, bool):
        return number if 0 < number < 2**32 else None
    if isinstance(number, str) and (read := _ASN.match(number)):
        return int(read[1]) or None
    return None


def says_hosting(record: object) -> bool | None:
    """Say what a record itself tells of hosting; None where it does not.

    >>> says_hosting({"type": "hosting"}), says_hosting({"is_hosting_provider": True})
    (True, True)
    >>> says_hosting({"type": "isp"}), says_hosting({"country_code": "CN"})
    (False, None)
    """
    if not isinstance(record, Mapping):
        return None
    flag = record.get("is_hosting_provider", record.get("is_hosting"))
    if isinstance(flag, bool):
        return flag
    kind = record.get("as_type", record.get("type", _traits(record).get("user_type")))
    return kind == "hosting" if isinstance(kind, str) and kind else None


def says_tor(record: object) -> bool | None:
    """Say what a record itself tells of Tor exits; None where it does not.

    >>> says_tor({"is_tor_exit_node": True}), says_tor({"country_code": "CN"})
    (True, None)
    """
    if not isinstance(record, Mapping):
        return None
    flag = record.get("is_tor_exit_node", record.get("is_tor"))
    return flag if isinstance(flag, bool) else None


def _traits(record: Mapping[str, Any]) -> Mapping[str, Any]:
    traits = record.get("traits")
    return traits if isinstance(traits, Mapping) else {}
