"""Where is the request from, and do the countries of an event agree?

Functions of the table in `event_features.py` that need the geo tables (`features/geo.py`).
Invariant: None means unknown, as the `missing` text of the catalog row says; nothing raises. What
needs a table is None without it.
"""

from __future__ import annotations

from features.event_people import phone_of, shipping_country
from features.geo import IpPlace
from features.signals import network, place
from features.stated import EventFunction, Stated


def ip_country(stated: Stated) -> str | None:
    found = _place(stated)
    return None if found is None else found.country


def ip_asn(stated: Stated) -> int | None:
    found = _place(stated)
    return None if found is None else found.asn


def ip_network(stated: Stated) -> str | None:
    """Give `tor`, `hosting`, or the class of the address, which needs no table."""
    found, at = _place(stated), stated.event.network
    if at is None:
        return None
    return network.ip_class(at.ip) if found is None else found.network_class


def ip_is_hosting(stated: Stated) -> bool | None:
    found = _place(stated)
    return None if found is None else found.is_hosting


def ip_is_tor(stated: Stated) -> bool | None:
    found = _place(stated)
    return None if found is None else found.is_tor


def card_country(stated: Stated) -> str | None:
    payment = stated.event.payment
    if stated.geo is None or payment is None or payment.bin is None:
        return None
    return stated.geo.card_country(payment.bin)


def ip_contradicts_country(stated: Stated) -> bool | None:
    return _differ(ip_country(stated), shipping_country(stated))


def ip_contradicts_phone(stated: Stated) -> bool | None:
    return _differ(ip_country(stated), _phone_country(stated))


def ip_contradicts_card(stated: Stated) -> bool | None:
    return _differ(ip_country(stated), card_country(stated))


def card_contradicts_country(stated: Stated) -> bool | None:
    return _differ(card_country(stated), shipping_country(stated))


def timezone_contradicts_ip(stated: Stated) -> bool | None:
    device, country = stated.event.device, ip_country(stated)
    if device is None or device.timezone_offset_minutes is None or country is None:
        return None
    year = stated.event.occurred_at.year
    return place.timezone_contradicts(country, device.timezone_offset_minutes, year)


def distinct_countries(stated: Stated) -> int | None:
    """Count the countries of address, phone, IP and card; one alone says nothing."""
    told = [
        country
        for country in (
            shipping_country(stated),
            _phone_country(stated),
            ip_country(stated),
            card_country(stated),
        )
        if country is not None
    ]
    return len(set(told)) if len(told) > 1 else None


FUNCTIONS: dict[str, EventFunction] = {
    "ip_country": EventFunction("string", ip_country),
    "ip_asn": EventFunction("int", ip_asn),
    "ip_network": EventFunction("string", ip_network),
    "ip_is_hosting": EventFunction("bool", ip_is_hosting),
    "ip_is_tor": EventFunction("bool", ip_is_tor),
    "card_country": EventFunction("string", card_country),
    "ip_contradicts_country": EventFunction("bool", ip_contradicts_country),
    "ip_contradicts_phone": EventFunction("bool", ip_contradicts_phone),
    "ip_contradicts_card": EventFunction("bool", ip_contradicts_card),
    "card_contradicts_country": EventFunction("bool", card_contradicts_country),
    "timezone_contradicts_ip": EventFunction("bool", timezone_contradicts_ip),
    "distinct_countries": EventFunction("int", distinct_countries),
}


def _place(stated: Stated) -> IpPlace | None:
    at = stated.event.network
    return None if stated.geo is None or at is None else stated.geo.place(at.ip)


def _phone_country(stated: Stated) -> str | None:
    number = phone_of(stated)
    return None if number is None else number.country


def _differ(one: str | None, other: str | None) -> bool | None:
    return None if one is None or other is None else one != other
