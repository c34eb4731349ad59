"""What shape does the basket of an event have?

Functions of the table in `event_features.py` about the order's lines.
Invariant: None means unknown, as the `missing` text of the catalog row says; nothing raises.
"""

from __future__ import annotations

from features.signals import basket
from features.stated import EventFunction, Stated


def basket_max_sku_quantity(stated: Stated) -> int | None:
    return basket.largest_quantity(_lines(stated))


def basket_max_share(stated: Stated) -> float | None:
    return basket.largest_share(_lines(stated))


def basket_price_variation(stated: Stated) -> float | None:
    return basket.price_variation(_lines(stated))


def basket_resale_share(stated: Stated) -> float | None:
    return basket.resale_share(_lines(stated))


FUNCTIONS: dict[str, EventFunction] = {
    "basket_max_sku_quantity": EventFunction("int", basket_max_sku_quantity),
    "basket_max_share": EventFunction("double", basket_max_share),
    "basket_price_variation": EventFunction("double", basket_price_variation),
    "basket_resale_share": EventFunction("double", basket_resale_share),
}


def _lines(stated: Stated) -> list[basket.Line]:
    order = stated.event.order
    if order is None:
        return []
    return [(item.sku, item.category, item.quantity, item.unit_price_minor) for item in order.items]
