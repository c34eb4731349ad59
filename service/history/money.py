"""How much money is an event about?

One amount an event, so that money blocked and let through can be added up. Invariant: base currency
minor units, as the event stated it; never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

from features.fields import Value
from features.history import HistoryEvent

# The first that an event states. An order's payments are its money, so the order comes first; a
# redemption without an order is about the coupon.
AMOUNTS = (
    "order.amount_base_minor",
    "payment.amount_base_minor",
    "coupon.value_base_minor",
    "return_request.amount_base_minor",
    "settlement.order_amount_base_minor",
)


def amount_of(event: HistoryEvent) -> int | None:
    """Return what is at stake, None for events that are about no money."""
    return amount_in(event.fields)


def amount_in(fields: Mapping[str, Value | None]) -> int | None:
    """Return what is at stake by the event's fields, or by facts, which hold them too.

    >>> amount_in({"coupon.value_base_minor": 500, "order.amount_base_minor": 9900})
    9900
    >>> amount_in({"event.type": "login"}) is None
    True
    """
    for name in AMOUNTS:
        value = fields.get(name)
        if value is not None:
            return int(value)
    return None
