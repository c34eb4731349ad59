"""Which part of an event must be there for a fact to be known, and was it?

Tables of facts made from raw events say nothing of parts; a part was there if anything that comes
from it is known. Invariant: what a case states itself is never overruled.
"""

from __future__ import annotations

from collections.abc import Mapping

from features.fields import Value

# A fact with such a beginning is known only where its part is there; the first that fits counts.
PARTS: Mapping[str, str] = {
    "user_": "has_user",
    "user.": "has_user",
    "profile_user_": "has_user",
    "device_": "has_device",
    "ip_": "has_ip",
    "email_": "has_email",
    "phone_": "has_phone",
    "instrument_": "has_instrument",
    "address_": "has_shipping_address",
    "merchant_": "has_merchant",
    "merchant.": "has_merchant",
    "campaign_": "has_coupon",
    "coupon.": "has_coupon",
    "order.": "has_order",
    "payment.": "has_payment",
    "return_request.": "has_return",
    "login.": "has_login",
    "listing.": "has_listing",
    "settlement.": "has_settlement",
    "fingerprint.": "has_fingerprint",
}


def part_of(fact: str) -> str | None:
    """Return the fact that says whether the part is there, None for facts of the event itself.

    >>> part_of("device_signups_24h"), part_of("event_account_age_seconds")
    ('has_device', None)
    """
    return next((part for start, part in PARTS.items() if fact.startswith(start)), None)


def with_parts(facts: Mapping[str, Value], fact_types: Mapping[str, str]) -> dict[str, Value]:
    """Return the facts with those about parts that the table does not state.

    >>> with_parts({"ip_events_1h": 3}, {"has_ip": "bool", "has_user": "bool"})["has_user"]
    False
    """
    unstated = {name: False for name in fact_types if name.startswith("has_") and name not in facts}
    if unstated:
        for fact in facts:
            part = part_of(fact)
            if part in unstated:
                unstated[part] = True
    return {**unstated, **facts}
