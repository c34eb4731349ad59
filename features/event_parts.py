"""Of which parts does an event consist that tell of a customer and an order?

Those of merchants, their offers and settlements stand in event_trade.py.
Invariant: frozen, no field beyond these, and `repr` never shows what is inside.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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
    Word,
)


class Part(BaseModel):
    """A part of an event."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, serialize_by_alias=True
    )

    def __repr__(self) -> str:  # an event in a log line must not say who it is about
        return f"{type(self).__name__}(...)"

    __str__ = __repr__


class User(Part):
    """The customer."""

    id: Id
    email: Email | None = None
    phone: Phone | None = None
    created_at: Time | None = None


class Device(Part):
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


class Network(Part):
    """Where the request came from."""

    ip: Ip


class Item(Part):
    """One line of a basket or of a return."""

    sku: Id
    category: Text | None = None
    quantity: Quantity = 1
    unit_price_minor: AmountMinor


class Address(Part):
    """Where goods go. Without `line1` it is a town, and not taken for an address of its own."""

    country: CountryCode
    region: Text | None = None
    city: Text | None = None
    postal_code: Text | None = None
    line1: Text | None = None


class Order(Part):
    """The basket and its price."""

    id: Id
    amount_minor: AmountMinor
    currency: CurrencyCode | None = None
    channel: Literal["normal", "presale", "flash_sale", "group_buy"] = "normal"
    items: Annotated[tuple[Item, ...], Field(max_length=500, strict=False)] = ()
    shipping_address: Address | None = None


class Payment(Part):
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


class Coupon(Part):
    """What is redeemed. `value_minor` is the money that the coupon takes off."""

    campaign: Id
    code: Id | None = None
    value_minor: AmountMinor
    currency: CurrencyCode | None = None


class Return(Part):
    """What comes back, and why. `item_value_minor` is what was paid for the returned goods.

    `is_refund_only`: the customer wants the money and keeps the goods.
    """

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
    is_refund_only: bool | None = None


class Login(Part):
    """How signing in went. `method` is a word such as password, sms_code or passkey."""

    succeeded: bool
    method: Word
