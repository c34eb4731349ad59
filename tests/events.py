"""Events for tests: small, valid, and different where a test wants them to differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4


def event(type_: str, **parts: Any) -> dict[str, Any]:
    """Return an event of a type that happens now; `parts` are merged over what it needs."""
    return {
        "event_id": f"{type_}-{uuid4().hex}",
        "type": type_,
        "occurred_at": datetime.now(UTC).isoformat(),
        "user": {"id": "u-1"},
        **{name: part for name, part in _NEEDED.get(type_, {}).items() if name not in parts},
        **{name: part for name, part in parts.items() if part is not None},
    }


_ORDER = {"id": "o-1", "amount_minor": 12050, "currency": "CNY"}
_NEEDED: dict[str, dict[str, Any]] = {
    "login": {"login": {"succeeded": True, "method": "password"}},
    "checkout": {"order": _ORDER},
    "payment": {
        "order": _ORDER,
        "payment": {"method": "card", "instrument": "tok_1", "outcome": "authorized"},
    },
    "coupon_redemption": {"coupon": {"campaign": "NEW50", "value_minor": 5000}},
    "return_request": {
        "return": {"order_id": "o-0", "reason": "changed_mind", "amount_minor": 9900}
    },
    "listing_submitted": {
        "merchant": {"id": "m-1"},
        "listing": {"id": "l-1", "category": "toys", "title": "Wooden train"},
    },
    "settlement": {
        "merchant": {"id": "m-1"},
        "settlement": {"id": "s-1", "order_amount_minor": 12050},
    },
}
