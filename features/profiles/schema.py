"""Which slow facts are kept for a user and for a device, and what does each mean?

The one declaration: Feast's views (`features/feast_repo/`), the batch build, the gates, the rows
`profiles` of the catalog and the online reader all follow it.
Invariant: a profile of time T says only what was observed before T; null is "unknown", never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

PROJECT = "touchstone"
"""Feast's name of the project; it is part of every key in the online store."""

WINDOW_DAYS = 90
MEDIAN_OF = 20  # orders behind `basket_median_minor`: recent enough, and bounded for any customer
HOURS_NEEDED = 3  # events with a known local hour before hours are called usual

RFM_SEGMENTS: tuple[str, ...] = (
    "none",  # no order
    "dormant",  # last order more than 180 days ago
    "one_off",  # one order, 30 to 180 days ago
    "new",  # one order, at most 30 days ago
    "at_risk",  # two orders or more, the last 90 to 180 days ago
    "regular",  # two orders or more, the last at most 90 days ago
    "loyal",  # regular, and five orders or more in 90 days
    "champion",  # loyal, and a typical basket above that of the shop
)
"""Recency, frequency and monetary value in one word; the number is the place in this list."""


@dataclass(frozen=True, slots=True)
class ProfileField:
    """One slow fact. `type` is int, double, string or bool; null where it is `missing`."""

    name: str
    type: str
    text: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """The profile of one kind of entity; its key is the entity's keyed tag."""

    name: str
    entity: str
    fields: tuple[ProfileField, ...]

    def field(self, name: str) -> ProfileField:
        """Return a field by name; raises KeyError."""
        for found in self.fields:
            if found.name == name:
                return found
        raise KeyError(name)


_NO_LABELS = "the build was given no labels"
_NO_ORDER = "no order"
_FEW_HOURS = f"fewer than {HOURS_NEEDED} events with a known time zone"

_SHARED = (
    ProfileField("tenure_days", "double", "Days since the first event"),
    ProfileField("orders_lifetime", "int", "Orders, those that were declined left out"),
    ProfileField("orders_90d", "int", "Orders of the last 90 days"),
    ProfileField("spend_lifetime_minor", "int", "Amount of the orders, base currency"),
    ProfileField("spend_90d_minor", "int", "Amount of the orders of the last 90 days"),
    ProfileField("returns_lifetime", "int", "Return requests"),
    ProfileField("returns_90d", "int", "Return requests of the last 90 days"),
    ProfileField("return_share", "double", "Return requests for each order", _NO_ORDER),
    ProfileField("coupons_90d", "int", "Coupons redeemed in the last 90 days"),
    ProfileField("chargebacks_lifetime", "int", "Chargebacks known", _NO_LABELS),
    ProfileField("chargebacks_90d", "int", "Chargebacks that got known in 90 days", _NO_LABELS),
    ProfileField("distinct_addresses", "int", "Shipping addresses used"),
    ProfileField("usual_hour", "double", "Middle of the active hours, local, 0 to 24", _FEW_HOURS),
    ProfileField(
        "hour_spread", "double", "0: always at the same time of day, 1: at any", _FEW_HOURS
    ),
)

USER = ProfileView(
    "user_profile",
    "user",
    (
        *_SHARED,
        ProfileField("distinct_devices", "int", "Devices used"),
        ProfileField(
            "basket_median_minor", "double", f"Median of the last {MEDIAN_OF} orders", _NO_ORDER
        ),
        ProfileField("order_age_days", "double", "Days since the last order", _NO_ORDER),
        ProfileField("rfm_segment", "int", "Place of the segment in the list of segments"),
        ProfileField("rfm_segment_name", "string", "Recency, frequency, monetary value as a word"),
    ),
)
DEVICE = ProfileView(
    "device_profile",
    "device",
    (*_SHARED, ProfileField("distinct_users", "int", "Users seen on it")),
)
VIEWS: dict[str, ProfileView] = {view.name: view for view in (USER, DEVICE)}
