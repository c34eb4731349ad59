"""Which kinds of event exist, and which parts each must carry?

One row a type; adding a type is adding a row.
Invariant: every example parses, and carries every part that its type requires.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]


class EventType(NamedTuple):
    """One kind of event. `required` holds part names as they are spelled in JSON."""

    name: str
    required: tuple[str, ...]
    description: str
    example: Json


_USER: Json = {
    "id": "u-9",
    "email": "li@example.com",
    "phone": "+8613800138000",
    "created_at": "2026-11-22T08:10:00Z",
}
_DEVICE: Json = {
    "id": "d-77",
    "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "platform": "ios",
    "screen": "1170x2532",
    "languages": ["zh-CN"],
    "timezone_offset_minutes": 480,
    "is_automated": False,
    "is_emulator": False,
}
_NETWORK: Json = {"ip": "203.0.113.9"}
_ORDER: Json = {
    "id": "o-1",
    "amount_minor": 12050,
    "currency": "CNY",
    "channel": "flash_sale",
    "items": [{"sku": "s-1", "category": "phone", "quantity": 1, "unit_price_minor": 12050}],
    "shipping_address": {
        "country": "CN",
        "region": "Zhejiang",
        "city": "Hangzhou",
        "postal_code": "310000",
        "line1": "1 Lakeside Road",
    },
}
_PAYMENT: Json = {
    "method": "card",
    "instrument": "tok_1",
    "bin": "622588",
    "outcome": "authorized",
}
_COUPON: Json = {"campaign": "NEW50", "code": "NEW50-7QX2", "value_minor": 5000}
_RETURN: Json = {"order_id": "o-0", "reason": "not_received", "amount_minor": 9900}
_LOGIN: Json = {"succeeded": False, "method": "password"}
_MERCHANT: Json = {
    "id": "m-3",
    "registration": "company",
    "country": "CN",
    "opened_at": "2025-03-01T00:00:00Z",
    "licences": [
        {
            "kind": "food_business_licence",
            "valid_until": "2029-06-30T16:00:00Z",
            "is_own": True,
            "is_verified": True,
        }
    ],
}
_LISTING: Json = {
    "id": "l-1",
    "category": "食品/坚果",
    "title": "每日坚果 30 包",
    "description": "六种坚果，独立小包装。",
    "price_minor": 8900,
    "was_price_minor": 9900,
    "currency": "CNY",
    "is_imported": False,
    "certificates": [],
}
_SETTLEMENT: Json = {
    "id": "s-1",
    "order_amount_minor": 12050,
    "refunded_minor": 0,
    "currency": "CNY",
    "money": {"amount_minor": 12050, "payer": "u-9", "payee": "m-3"},
    "invoice": {"amount_minor": 12050, "issuer": "m-3", "recipient": "u-9"},
    "goods": {"amount_minor": 12050, "sender": "m-3", "receiver": "u-9"},
}


def _example(event_id: str, type_: str, **parts: Json) -> Json:
    head = {"event_id": event_id, "type": type_, "occurred_at": "2026-11-22T08:15:30Z"}
    everybody = {"user": _USER, "device": _DEVICE, "network": _NETWORK}
    return {**head, **everybody, **{name.rstrip("_"): part for name, part in parts.items()}}


def _of_merchant(event_id: str, type_: str, **parts: Json) -> Json:
    head = {"event_id": event_id, "type": type_, "occurred_at": "2026-11-22T08:15:30Z"}
    return {
        **head, "business_line": "marketplace", "region": "cn_east", "merchant": _MERCHANT, **parts
    }  # fmt: skip


_ROWS = (
    EventType(
        "signup",
        ("user",),
        "An account is about to be made. `user.id` is the id that it will have.",
        _example("sgn-01", "signup"),
    ),
    EventType(
        "login",
        ("user", "login"),
        "Somebody tried to sign in. For an unknown account `user.id` is the name that was typed.",
        _example("log-01", "login", login=_LOGIN),
    ),
    EventType(
        "checkout",
        ("order",),
        "An order is about to be placed.",
        _example("ord-7f3a", "checkout", order=_ORDER, payment=_PAYMENT, coupon=_COUPON),
    ),
    EventType(
        "payment",
        ("payment",),
        "A payment is about to be made, or its outcome is known.",
        _example("pay-01", "payment", order=_ORDER, payment=_PAYMENT),
    ),
    EventType(
        "coupon_redemption",
        ("coupon",),
        "A coupon is about to be redeemed.",
        _example("cpn-01", "coupon_redemption", order=_ORDER, coupon=_COUPON),
    ),
    EventType(
        "return_request",
        ("user", "return"),
        "A customer wants to send goods back, or wants the money for goods that never came.",
        _example("ret-01", "return_request", return_=_RETURN),
    ),
    EventType(
        "listing_submitted",
        ("merchant", "listing"),
        "A merchant wants to offer something: may it, and may it say so in these words?",
        _of_merchant("lst-01", "listing_submitted", listing=_LISTING),
    ),
    EventType(
        "settlement",
        ("merchant", "settlement"),
        "A merchant is about to be paid: do money, invoice and goods agree?",
        _of_merchant("stl-01", "settlement", settlement=_SETTLEMENT),
    ),
)

EVENT_TYPES: dict[str, EventType] = {row.name: row for row in _ROWS}
