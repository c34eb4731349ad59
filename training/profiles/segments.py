"""Into which segment does a customer fall? By recency, frequency and monetary value.

Thresholds are fixed, so that a segment means the same every day; only what a basket is worth is
relative to the shop. Invariant: the shop's basket of a time is made of orders before that time.
"""

from __future__ import annotations

import polars as pl

from features.profiles.schema import RFM_SEGMENTS, WINDOW_DAYS

_WINDOW_MS = WINDOW_DAYS * 86_400_000


def shop_baskets(history: pl.DataFrame, at: pl.DataFrame) -> pl.DataFrame:
    """Return the median basket of the whole shop in the 90 days before each time."""
    went_ahead = pl.col("outcome").is_null() | (pl.col("outcome") != "decline")
    orders = history.filter((pl.col("event.type") == "checkout") & went_ahead).select(
        "observed_ms", amount=pl.col("order.amount_base_minor").cast(pl.Float64)
    )
    times = at["at"].unique().sort()
    places = orders["observed_ms"].search_sorted(times, side="left")
    starts = orders["observed_ms"].search_sorted(times - _WINDOW_MS, side="left")
    medians = [
        orders["amount"].slice(start, end - start).median()
        for start, end in zip(starts, places, strict=True)
    ]
    return pl.DataFrame({"at": times, "shop_basket": pl.Series(medians, dtype=pl.Float64)})


def segment() -> pl.Expr:
    """Give the place in `RFM_SEGMENTS`, whose remarks say what each means."""
    orders, days = pl.col("orders"), pl.col("order_age_days")
    place = {name: pl.lit(number, pl.Int64) for number, name in enumerate(RFM_SEGMENTS)}
    is_loyal = pl.col("orders_90d") >= 5
    spends_more = pl.col("basket_median_minor") > pl.col("shop_basket")
    return (
        pl.when(orders == 0)
        .then(place["none"])
        .when(days > 180)
        .then(place["dormant"])
        .when((orders == 1) & (days > 30))
        .then(place["one_off"])
        .when(orders == 1)
        .then(place["new"])
        .when(days > 90)
        .then(place["at_risk"])
        .when(is_loyal & spends_more)
        .then(place["champion"])
        .when(is_loyal)
        .then(place["loyal"])
        .otherwise(place["regular"])
    )
