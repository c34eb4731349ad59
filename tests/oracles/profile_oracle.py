"""Profiles, told naively: every event is looked at again for every profile."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from features.history import HistoryEvent
from features.profiles.schema import HOURS_NEEDED, MEDIAN_OF, ProfileView

DAY_MS = 86_400_000
WINDOW_MS = 90 * DAY_MS


def profile_at(
    events: Sequence[HistoryEvent],
    chargebacks: Mapping[str, int] | None,
    view: ProfileView,
    tag: str,
    at_ms: int,
) -> dict[str, Any] | None:
    """What is known of an entity at a time; None when it was never seen before.

    `chargebacks`: event tag -> when it became known.
    """
    past = sorted(
        (event for event in events if event.observed_ms < at_ms and not _failed_login(event)),
        key=lambda event: (event.observed_ms, event.position),
    )
    own = [event for event in past if event.tags.get(view.entity) == tag]
    if not own:
        return None
    recent = [event for event in own if event.observed_ms >= at_ms - WINDOW_MS]
    orders = [event for event in own if _is_order(event)]
    amounts = [int(event.fields["order.amount_base_minor"]) for event in orders]
    returns = _of_type(own, "return_request")
    known = _chargebacks(events, chargebacks, view, tag, at_ms)
    profile: dict[str, Any] = {
        "tenure_days": (at_ms - own[0].observed_ms) / DAY_MS,
        "orders_lifetime": len(orders),
        "orders_90d": len([event for event in recent if _is_order(event)]),
        "spend_lifetime_minor": sum(amounts),
        "spend_90d_minor": sum(
            int(event.fields["order.amount_base_minor"]) for event in recent if _is_order(event)
        ),
        "returns_lifetime": len(returns),
        "returns_90d": len(_of_type(recent, "return_request")),
        "return_share": len(returns) / len(orders) if orders else None,
        "coupons_90d": len(
            [one for one in _of_type(recent, "coupon_redemption") if one.outcome != "decline"]
        ),
        "chargebacks_lifetime": None if known is None else len(known),
        "chargebacks_90d": None
        if known is None
        else len([at for at in known if at >= at_ms - WINDOW_MS]),
        "distinct_addresses": _distinct(own, "shipping_address"),
        **_hours(own),
    }
    if view.entity == "device":
        return {**profile, "distinct_users": _distinct(own, "user")}
    basket = statistics.median(amounts[-MEDIAN_OF:]) if amounts else None
    age = (at_ms - orders[-1].observed_ms) / DAY_MS if orders else None
    segment = _segment(profile, basket, age, _shop_basket(past, at_ms))
    return {
        **profile,
        "distinct_devices": _distinct(own, "device"),
        "basket_median_minor": basket,
        "order_age_days": age,
        "rfm_segment_name": segment,
    }


def _failed_login(event: HistoryEvent) -> bool:
    return event.fields["event.type"] == "login" and event.fields.get("login.succeeded") is False


def _is_order(event: HistoryEvent) -> bool:
    return event.fields["event.type"] == "checkout" and event.outcome != "decline"


def _of_type(events: Sequence[HistoryEvent], name: str) -> list[HistoryEvent]:
    return [event for event in events if event.fields["event.type"] == name]


def _distinct(events: Sequence[HistoryEvent], kind: str) -> int:
    return len({event.tags[kind] for event in events if kind in event.tags})


def _hours(events: Sequence[HistoryEvent]) -> dict[str, float | None]:
    offsets = [
        (event.occurred_ms, int(event.fields["device.timezone_offset_minutes"]))
        for event in events
        if "device.timezone_offset_minutes" in event.fields
    ]
    if len(offsets) < HOURS_NEEDED:
        return {"usual_hour": None, "hour_spread": None}
    angles = [((at / 3_600_000 + offset / 60) % 24) * 2 * math.pi / 24 for at, offset in offsets]
    x, y = sum(map(math.cos, angles)), sum(map(math.sin, angles))
    return {
        "usual_hour": math.atan2(y, x) * 24 / (2 * math.pi) % 24,
        "hour_spread": 1 - math.hypot(x, y) / len(angles),
    }


def _shop_basket(past: Sequence[HistoryEvent], at_ms: int) -> float | None:
    amounts = [
        int(event.fields["order.amount_base_minor"])
        for event in past
        if _is_order(event) and event.observed_ms >= at_ms - WINDOW_MS
    ]
    return statistics.median(amounts) if amounts else None


def _segment(
    profile: Mapping[str, Any], basket: float | None, age: float | None, shop: float | None
) -> str:
    if age is None:
        return "none"
    if age > 180:
        return "dormant"
    if profile["orders_lifetime"] == 1:
        return "one_off" if age > 30 else "new"
    if age > 90:
        return "at_risk"
    if profile["orders_90d"] < 5:
        return "regular"
    assert basket is not None
    return "champion" if shop is not None and basket > shop else "loyal"


def _chargebacks(
    events: Sequence[HistoryEvent],
    chargebacks: Mapping[str, int] | None,
    view: ProfileView,
    tag: str,
    at_ms: int,
) -> list[int] | None:
    if chargebacks is None:
        return None
    own = {event.event_tag for event in events if event.tags.get(view.entity) == tag}
    return [known for event, known in chargebacks.items() if event in own and known < at_ms]
