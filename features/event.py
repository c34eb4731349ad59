"""What happened, as the caller told it: the one typed, frozen shape of an event.

`parse_event` has a fast path for good bodies; only a refused one is looked at again in full.
Invariant: an `Event` in hand is complete for its type, its times are UTC, and no text in it
holds a card number; `repr` never shows what is inside.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from features.card_numbers import may_hold_card_number
from features.event_fields import (
    AmountMinor,
    Bin,
    CountryCode,
    CurrencyCode,
    Email,
    Fingerprint,
    Id,
    Ip,
    Language,
    LongText,
    OffsetMinutes,
    Phone,
    Platform,
    Quantity,
    Screen,
    Text,
    Time,
    TypeName,
    Word,
)
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from features.problems import InvalidEvent, Problem
from features.refusal import problems_of

__all__ = ["Event", "InvalidEvent", "Problem", "parse_event"]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, serialize_by_alias=True
    )

    def __repr__(self) -> str:  # an event in a log line must not say who it is about
        return f"{type(self).__name__}(...)"

    __str__ = __repr__


class User(_Part):
    """The customer."""

    id: Id
    email: Email | None = None
    phone: Phone | None = None
    created_at: Time | None = None


class Device(_Part):
    """What the customer holds. The offset is minutes east of UTC: 480 in Shanghai.

    `fingerprint` is the text that the collector script gave to the page, unchanged.
    """

    id: Id | None = None
    user_agent: LongText | None = None
    platform: Platform | None = None
    screen: Screen | None = None
    languages: Annotated[tuple[Language, ...], Field(max_length=16, strict=False)] = ()
    timezone_offset_minutes: OffsetMinutes | None = None
    is_automated: bool | None = None
    is_emulator: bool | None = None
    fingerprint: Fingerprint | None = None


class Network(_Part):
    """Where the request came from."""

    ip: Ip


class Item(_Part):
    """One line of a basket or of a return."""

    sku: Id
    category: Text | None = None
    quantity: Quantity = 1
    unit_price_minor: AmountMinor


class Address(_Part):
    """Where goods go. Without `line1` it is a town, and not taken for an address of its own."""

    country: CountryCode
    region: Text | None = None
    city: Text | None = None
    postal_code: Text | None = None
    line1: Text | None = None


class Order(_Part):
    """The basket and its price."""

    id: Id
    amount_minor: AmountMinor
    currency: CurrencyCode | None = None
    channel: Literal["normal", "presale", "flash_sale", "group_buy"] = "normal"
    items: Annotated[tuple[Item, ...], Field(max_length=500, strict=False)] = ()
    shipping_address: Address | None = None


class Payment(_Part):
    """How it is paid. `instrument` is the shop's token; a card number is refused."""

    method: Word
    instrument: Id | None = None
    bin: Bin | None = None
    outcome: (
        Literal["authorized", "captured", "declined", "failed", "pending", "cancelled", "refunded"]
        | None
    ) = None
    amount_minor: AmountMinor | None = None
    currency: CurrencyCode | None = None


class Coupon(_Part):
    """What is redeemed. `value_minor` is the money that the coupon takes off."""

    campaign: Id
    code: Id | None = None
    value_minor: AmountMinor
    currency: CurrencyCode | None = None


class Return(_Part):
    """What comes back, and why. `item_value_minor` is what was paid for the returned goods."""

    order_id: Id
    reason: Literal[
        "not_received",
        "damaged",
        "defective",
        "wrong_item",
        "not_as_described",
        "does_not_fit",
        "changed_mind",
        "arrived_late",
        "missing_parts",
        "cancelled",
        "other",
    ]
    amount_minor: AmountMinor
    currency: CurrencyCode | None = None
    item_value_minor: AmountMinor | None = None
    items: Annotated[tuple[Item, ...], Field(max_length=500, strict=False)] = ()
    quantity: Quantity | None = None
    ordered_quantity: Quantity | None = None


class Login(_Part):
    """How signing in went. `method` is a word such as password, sms_code or passkey."""

    succeeded: bool
    method: Word


class Event(_Part):
    """One event. `event_id` is the caller's, and makes a repeat recognisable."""

    event_id: Id
    type: TypeName
    occurred_at: Time
    user: User | None = None
    device: Device | None = None
    network: Network | None = None
    order: Order | None = None
    payment: Payment | None = None
    coupon: Coupon | None = None
    return_: Return | None = Field(default=None, alias="return")
    login: Login | None = None


_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_REQUIRED: dict[str, tuple[str, ...]] = {
    name: tuple("return_" if part == "return" else part for part in row.required)
    for name, row in EVENT_TYPES.items()
}


def parse_event(raw: bytes, currencies: CurrencyTable | None = None) -> Event:
    """Make an event of a JSON body, or raise `InvalidEvent` with every problem in it.

    With `currencies` a currency that the table does not have is a problem too.

    >>> parse_event(b'{"event_id": "e", "type": "signup", "occurred_at": "2026-11-22T08:15:30Z"}')
    Traceback (most recent call last):
    features.problems.InvalidEvent: 1 problem(s) in the event
    """
    try:
        event = _EVENT.validate_json(raw)
    except ValidationError as error:
        raise InvalidEvent(problems_of(raw, Event, error, currencies)) from None
    if (
        any(getattr(event, part) is None for part in _REQUIRED[event.type])
        or (currencies is not None and not _currencies_known(event, currencies))
        or _may_repeat_a_key(raw, event)
        or _may_hold_a_card(raw)
    ):
        problems = problems_of(raw, Event, None, currencies)
        if problems:
            raise InvalidEvent(problems)
    return event


def _currencies_known(event: Event, currencies: CurrencyTable) -> bool:
    for part in (event.order, event.payment, event.coupon, event.return_):
        if part is not None and part.currency is not None and part.currency not in currencies:
            return False
    return True


def _may_hold_a_card(raw: bytes) -> bool:
    if b"\\" in raw:  # digits and separators may be written as escapes: write them out first
        raw = pydantic_core.to_json(pydantic_core.from_json(raw))
    return may_hold_card_number(raw)


def _may_repeat_a_key(raw: bytes, event: Event) -> bool:
    # Without white space, `":` ends each key and occurs in a few texts: as many of them as fields
    # that were set means that no key came twice.
    return raw.translate(None, b" \t\r\n").count(b'":') != _fields_set(event)


def _fields_set(event: Event) -> int:
    count = len(event.model_fields_set)
    for part in (event.user, event.device, event.network, event.payment, event.coupon, event.login):
        if part is not None:
            count += len(part.model_fields_set)
    items: tuple[Item, ...] = ()
    if event.order is not None:
        count += len(event.order.model_fields_set)
        items = event.order.items
        if event.order.shipping_address is not None:
            count += len(event.order.shipping_address.model_fields_set)
    if event.return_ is not None:
        count += len(event.return_.model_fields_set)
        items += event.return_.items
    return count + sum(len(item.model_fields_set) for item in items)
