"""What does one event say by itself?

The functions that `event_features` of the catalog names: each picks its values out of the event and
asks a pure function of features/signals. Larger families of them have files of their own.
Invariant: None means unknown, as the `missing` text of the catalog row says; nothing raises.
"""

from __future__ import annotations

from features import (
    event_agents,
    event_baskets,
    event_offers,
    event_people,
    event_places,
    event_settlements,
)
from features.event import Item
from features.event_people import shipping_country
from features.signals import agent, clock, mail, network, place
from features.stated import EventFunction, Function, Stated

__all__ = ["EVENT_FUNCTIONS", "EventFunction", "Function", "Stated"]


def email_is_alias(stated: Stated) -> bool | None:
    email = _email(stated)
    return None if email is None else mail.is_alias(email)


def email_is_disposable(stated: Stated) -> bool | None:
    email = _email(stated)
    return None if email is None else mail.is_disposable(email)


def email_digit_share(stated: Stated) -> float | None:
    email = _email(stated)
    return None if email is None else mail.digit_share(email)


def account_age_seconds(stated: Stated) -> float | None:
    """Give the age of the account when the event happened; a future account has no age."""
    user = stated.event.user
    if user is None or user.created_at is None:
        return None
    age = (stated.event.occurred_at - user.created_at).total_seconds()
    return age if age >= 0 else None


def local_hour(stated: Stated) -> int | None:
    """Give the hour of the day, 0 to 23, on the clock of the device."""
    device = stated.event.device
    if device is None or device.timezone_offset_minutes is None:
        return None
    return clock.local_time(stated.event.occurred_at, device.timezone_offset_minutes).hour


def timezone_contradicts_country(stated: Stated) -> bool | None:
    device, country = stated.event.device, shipping_country(stated)
    if device is None or device.timezone_offset_minutes is None or country is None:
        return None
    year = stated.event.occurred_at.year
    return place.timezone_contradicts(country, device.timezone_offset_minutes, year)


def language_contradicts_country(stated: Stated) -> bool | None:
    device, country = stated.event.device, shipping_country(stated)
    if device is None or country is None:
        return None
    return place.languages_contradict(country, device.languages)


def platform_contradicts_agent(stated: Stated) -> bool | None:
    device = stated.event.device
    if device is None or device.user_agent is None or device.platform is None:
        return None
    return agent.contradicts(device.user_agent, device.platform)


def agent_is_automated(stated: Stated) -> bool | None:
    device = stated.event.device
    if device is None or device.user_agent is None:
        return None
    return agent.is_automated(device.user_agent)


def ip_class(stated: Stated) -> str | None:
    at = stated.event.network
    return None if at is None else network.ip_class(at.ip)


def ip_is_public(stated: Stated) -> bool | None:
    at = stated.event.network
    return None if at is None else network.can_be_client(at.ip)


def basket_quantity(stated: Stated) -> int | None:
    items = _items(stated)
    return sum([item.quantity for item in items]) if items else None


def basket_max_quantity(stated: Stated) -> int | None:
    items = _items(stated)
    return max([item.quantity for item in items]) if items else None


def basket_max_unit_price(stated: Stated) -> int | None:
    items, order = _items(stated), stated.event.order
    if not items or order is None:
        return None
    price = max([item.unit_price_minor for item in items])
    return stated.currencies.to_base_minor(price, order.currency)


def amount_bucket(stated: Stated) -> int | None:
    """Give the power of two of the order or return amount: 0 for 0, and one more each doubling."""
    amount = stated.fields.get("order.amount_base_minor")
    if amount is None:
        amount = stated.fields.get("return_request.amount_base_minor")
    return None if amount is None else int(amount).bit_length()


def coupon_share(stated: Stated) -> float | None:
    """Give coupon value over the price before it; the order amount is what remains to be paid."""
    value = stated.fields.get("coupon.value_base_minor")
    paid = stated.fields.get("order.amount_base_minor")
    if value is None or paid is None or not int(value) + int(paid):
        return None
    return int(value) / (int(value) + int(paid))


def return_value_share(stated: Stated) -> float | None:
    """Give the asked refund over what was paid for the goods."""
    amount = stated.fields.get("return_request.amount_base_minor")
    value = stated.fields.get("return_request.item_value_base_minor")
    return int(amount) / int(value) if amount is not None and value else None


def return_exceeds_order(stated: Stated) -> bool | None:
    """Say whether more comes back than was bought: pieces, or money."""
    fields = stated.fields
    back, bought = (
        fields.get("return_request.quantity"),
        fields.get("return_request.ordered_quantity"),
    )
    amount = fields.get("return_request.amount_base_minor")
    value = fields.get("return_request.item_value_base_minor")
    pieces = int(back) > int(bought) if back is not None and bought is not None else None
    money = int(amount) > int(value) if amount is not None and value is not None else None
    return None if pieces is None and money is None else bool(pieces or money)


EVENT_FUNCTIONS: dict[str, EventFunction] = {
    "email_is_alias": EventFunction("bool", email_is_alias),
    "email_is_disposable": EventFunction("bool", email_is_disposable),
    "email_digit_share": EventFunction("double", email_digit_share),
    "account_age_seconds": EventFunction("double", account_age_seconds),
    "local_hour": EventFunction("int", local_hour),
    "timezone_contradicts_country": EventFunction("bool", timezone_contradicts_country),
    "language_contradicts_country": EventFunction("bool", language_contradicts_country),
    "platform_contradicts_agent": EventFunction("bool", platform_contradicts_agent),
    "agent_is_automated": EventFunction("bool", agent_is_automated),
    "ip_class": EventFunction("string", ip_class),
    "ip_is_public": EventFunction("bool", ip_is_public),
    "basket_quantity": EventFunction("int", basket_quantity),
    "basket_max_quantity": EventFunction("int", basket_max_quantity),
    "basket_max_unit_price": EventFunction("int", basket_max_unit_price),
    "amount_bucket": EventFunction("int", amount_bucket),
    "coupon_share": EventFunction("double", coupon_share),
    "return_value_share": EventFunction("double", return_value_share),
    "return_exceeds_order": EventFunction("bool", return_exceeds_order),
    **event_people.FUNCTIONS,
    **event_agents.FUNCTIONS,
    **event_places.FUNCTIONS,
    **event_baskets.FUNCTIONS,
    **event_offers.FUNCTIONS,
    **event_settlements.FUNCTIONS,
}


def _email(stated: Stated) -> str | None:
    user = stated.event.user
    return None if user is None else user.email


def _items(stated: Stated) -> tuple[Item, ...]:
    order = stated.event.order
    return () if order is None else order.items
