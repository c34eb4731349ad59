"""What do e-mail, phone and clock of the customer say?

Functions of the table in `event_features.py` about the person.
Invariant: None means unknown, as the `missing` text of the catalog row says; nothing raises.
"""

from __future__ import annotations

from features.signals import clock, mail
from features.signals.phone import PhoneNumber, phone_number
from features.stated import EventFunction, Stated


def phone_of(stated: Stated) -> PhoneNumber | None:
    """Give the customer's number as it is read, with the shipping country for a national one."""
    user = stated.event.user
    if user is None or user.phone is None:
        return None
    return phone_number(user.phone, shipping_country(stated))


def shipping_country(stated: Stated) -> str | None:
    """Give the country that goods go to."""
    order = stated.event.order
    if order is None or order.shipping_address is None:
        return None
    return order.shipping_address.country


def email_entropy(stated: Stated) -> float | None:
    user = stated.event.user
    return None if user is None or user.email is None else mail.entropy_bits(user.email)


def email_is_free(stated: Stated) -> bool | None:
    user = stated.event.user
    return None if user is None or user.email is None else mail.is_free(user.email)


def phone_country(stated: Stated) -> str | None:
    number = phone_of(stated)
    return None if number is None else number.country


def phone_type(stated: Stated) -> str | None:
    number = phone_of(stated)
    return None if number is None else number.kind


def phone_is_valid(stated: Stated) -> bool | None:
    number = phone_of(stated)
    return None if number is None else number.is_valid


def phone_contradicts_country(stated: Stated) -> bool | None:
    number, country = phone_of(stated), shipping_country(stated)
    if number is None or number.country is None or country is None:
        return None
    return number.country != country


def is_night(stated: Stated) -> bool | None:
    device = stated.event.device
    if device is None or device.timezone_offset_minutes is None:
        return None
    shown = clock.local_time(stated.event.occurred_at, device.timezone_offset_minutes)
    return clock.is_night(shown)


def is_weekend(stated: Stated) -> bool | None:
    device = stated.event.device
    if device is None or device.timezone_offset_minutes is None:
        return None
    shown = clock.local_time(stated.event.occurred_at, device.timezone_offset_minutes)
    return clock.is_weekend(shown)


FUNCTIONS: dict[str, EventFunction] = {
    "email_entropy": EventFunction("double", email_entropy),
    "email_is_free": EventFunction("bool", email_is_free),
    "phone_country": EventFunction("string", phone_country),
    "phone_type": EventFunction("string", phone_type),
    "phone_is_valid": EventFunction("bool", phone_is_valid),
    "phone_contradicts_country": EventFunction("bool", phone_contradicts_country),
    "is_night": EventFunction("bool", is_night),
    "is_weekend": EventFunction("bool", is_weekend),
}
