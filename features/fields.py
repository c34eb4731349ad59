"""Which plain facts does an event state, under which dotted names?

`return_request.…` holds the part `return`, as `return` is a reserved word in CEL.
Invariant: what the event does not say is absent, never None; amounts are base currency minor units.
"""

from __future__ import annotations

from features.event import Event
from features.money import CurrencyTable

Value = bool | int | float | str

FIELD_TYPES: dict[str, str] = {
    "event.type": "string",
    "event.business_line": "string",
    "event.region": "string",
    "order.amount_base_minor": "int",
    "order.currency": "string",
    "order.channel": "string",
    "order.items_count": "int",
    "order.country": "string",
    "payment.method": "string",
    "payment.outcome": "string",
    "payment.bin": "string",
    "payment.amount_base_minor": "int",
    "coupon.campaign": "string",
    "coupon.value_base_minor": "int",
    "return_request.reason": "string",
    "return_request.amount_base_minor": "int",
    "return_request.item_value_base_minor": "int",
    "return_request.quantity": "int",
    "return_request.ordered_quantity": "int",
    "return_request.is_refund_only": "bool",
    "login.succeeded": "bool",
    "login.method": "string",
    "device.platform": "string",
    "device.is_automated": "bool",
    "device.is_emulator": "bool",
    "device.timezone_offset_minutes": "int",
    # What `features/collector/` makes of `device.fingerprint`, when the event is accepted.
    "fingerprint.verdict": "string",
    "fingerprint.is_verified": "bool",
    "fingerprint.confidence": "double",
    "fingerprint.contradictions": "int",
    "fingerprint.is_automated": "bool",
    "fingerprint.is_emulated": "bool",
    "fingerprint.is_device_id": "bool",
    "merchant.registration": "string",
    "merchant.country": "string",
    "listing.category": "string",
    "listing.price_base_minor": "int",
    "listing.is_imported": "bool",
    "settlement.order_amount_base_minor": "int",
    "settlement.refunded_base_minor": "int",
    "settlement.paid_base_minor": "int",
    "settlement.invoiced_base_minor": "int",
    "settlement.delivered_base_minor": "int",
}
PRESENCE: tuple[str, ...] = (
    "has_user",
    "has_device",
    "has_fingerprint",
    "has_ip",
    "has_email",
    "has_phone",
    "has_order",
    "has_payment",
    "has_instrument",
    "has_shipping_address",
    "has_coupon",
    "has_return",
    "has_login",
    "has_merchant",
    "has_listing",
    "has_settlement",
)


def fields_of(event: Event, currencies: CurrencyTable) -> dict[str, Value]:
    """Give every field that an event states; may raise `UnknownCurrency`."""
    order, device, payment = event.order, event.device, event.payment
    coupon, back, login = event.coupon, event.return_, event.login
    to_base = currencies.to_base_minor
    order_currency = order.currency if order is not None else None
    facts: dict[str, Value | None] = {
        "event.type": event.type,
        "event.business_line": event.business_line,
        "event.region": event.region,
    }
    if device is not None:
        facts["device.platform"] = device.platform
        facts["device.is_automated"] = device.is_automated
        facts["device.is_emulator"] = device.is_emulator
        facts["device.timezone_offset_minutes"] = device.timezone_offset_minutes
    if order is not None:
        facts["order.amount_base_minor"] = to_base(order.amount_minor, order_currency)
        facts["order.currency"] = order_currency or currencies.base
        facts["order.channel"] = order.channel
        if order.items:
            facts["order.items_count"] = len(order.items)
        if order.shipping_address is not None:
            facts["order.country"] = order.shipping_address.country
    if payment is not None:
        facts["payment.method"] = payment.method
        facts["payment.outcome"] = payment.outcome
        facts["payment.bin"] = payment.bin
        amount, currency = payment.amount_minor, payment.currency or order_currency
        if amount is None and order is not None:
            amount, currency = order.amount_minor, order_currency
        if amount is not None:
            facts["payment.amount_base_minor"] = to_base(amount, currency)
    if coupon is not None:
        currency = coupon.currency or order_currency
        facts["coupon.campaign"] = coupon.campaign
        facts["coupon.value_base_minor"] = to_base(coupon.value_minor, currency)
    if back is not None:
        currency = back.currency or order_currency
        facts["return_request.reason"] = back.reason
        facts["return_request.amount_base_minor"] = to_base(back.amount_minor, currency)
        if back.item_value_minor is not None:
            value = to_base(back.item_value_minor, currency)
            facts["return_request.item_value_base_minor"] = value
        facts["return_request.quantity"] = back.quantity
        facts["return_request.ordered_quantity"] = back.ordered_quantity
        facts["return_request.is_refund_only"] = back.is_refund_only
    if login is not None:
        facts["login.succeeded"] = login.succeeded
        facts["login.method"] = login.method
    facts.update(_of_trade(event, currencies))
    return {name: value for name, value in facts.items() if value is not None}


def _of_trade(event: Event, currencies: CurrencyTable) -> dict[str, Value | None]:
    merchant, listing, settlement = event.merchant, event.listing, event.settlement
    facts: dict[str, Value | None] = {}
    if merchant is not None:
        facts["merchant.registration"] = merchant.registration
        facts["merchant.country"] = merchant.country
    if listing is not None:
        facts["listing.category"] = listing.category
        facts["listing.is_imported"] = listing.is_imported
        if listing.price_minor is not None:
            price = currencies.to_base_minor(listing.price_minor, listing.currency)
            facts["listing.price_base_minor"] = price
    if settlement is not None:
        money, invoice, goods = settlement.money, settlement.invoice, settlement.goods
        for name, amount in (
            ("order_amount", settlement.order_amount_minor),
            ("refunded", settlement.refunded_minor),
            ("paid", None if money is None else money.amount_minor),
            ("invoiced", None if invoice is None else invoice.amount_minor),
            ("delivered", None if goods is None else goods.amount_minor),
        ):
            if amount is not None:
                in_base = currencies.to_base_minor(amount, settlement.currency)
                facts[f"settlement.{name}_base_minor"] = in_base
    return facts


def presence_of(event: Event) -> dict[str, bool]:
    """Say which parts an event has; each of `PRESENCE` is always there.

    `has_device`, `has_instrument` and `has_shipping_address` mean that the entity can be told: a
    device with an id, a payment with a token, an address with a `line1`.
    """
    user, order, payment = event.user, event.order, event.payment
    address = order.shipping_address if order is not None else None
    return {
        "has_user": user is not None,
        "has_device": event.device is not None and event.device.id is not None,
        "has_fingerprint": event.device is not None and event.device.fingerprint is not None,
        "has_ip": event.network is not None,
        "has_email": user is not None and user.email is not None,
        "has_phone": user is not None and user.phone is not None,
        "has_order": order is not None,
        "has_payment": payment is not None,
        "has_instrument": payment is not None and payment.instrument is not None,
        "has_shipping_address": address is not None and address.line1 is not None,
        "has_coupon": event.coupon is not None,
        "has_return": event.return_ is not None,
        "has_login": event.login is not None,
        "has_merchant": event.merchant is not None,
        "has_listing": event.listing is not None,
        "has_settlement": event.settlement is not None,
    }
