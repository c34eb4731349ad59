"""What was known of each user or device at a time? Profile rows over a whole history, vectorised.

A row of time T holds what was observed before T. There is a row for each entity at the time of the
build, and for training one at each midnight (UTC) that begins a day on which the entity had events:
those are the only rows that a point-in-time join of these events can meet.
Invariant: no event at or after T, and no label that became known at or after T, is in a row of T.
"""

from __future__ import annotations

import math

import polars as pl

from features.profiles.schema import (
    HOURS_NEEDED,
    MEDIAN_OF,
    RFM_SEGMENTS,
    WINDOW_DAYS,
    ProfileView,
)
from training.profiles.segments import segment, shop_baskets

DAY_MS = 86_400_000
_WINDOW_MS = WINDOW_DAYS * DAY_MS
_HOUR_ANGLE = 2 * math.pi / 24
_TYPES = {"int": pl.Int64, "double": pl.Float64, "string": pl.String, "bool": pl.Boolean}


def profile_rows(
    history: pl.DataFrame,
    chargebacks: pl.DataFrame | None,
    view: ProfileView,
    *,
    as_of_ms: int,
    created_ms: int,
) -> pl.DataFrame:
    """Return the rows of a view: key, event_timestamp, created and its fields.

    `history` as `read_history` gives it, all before `as_of_ms`; `chargebacks` as
    `read_chargebacks`, None when nothing is known of any.
    """
    tag = pl.col(f"tag.{view.entity}").alias("tag")
    named = history.with_columns(tag).filter(pl.col("tag").is_not_null())
    # A failed login says nothing of where its user is at home; but it is decided, and asks.
    is_failed_login = (pl.col("event.type") == "login") & ~pl.col("login.succeeded").fill_null(True)
    events = _running(named.filter(~is_failed_login))
    at = _times(named, events, as_of_ms)
    known = _before(at, events, "at")
    earlier = _before(at.with_columns(start=pl.col("at") - _WINDOW_MS), events, "start")
    rows = known.with_columns(
        (pl.col(total) - earlier[total].fill_null(0)).alias(f"{total}_90d")
        for total in ("orders", "spend", "returns", "coupons")
    )
    rows = _with_chargebacks(rows, history, chargebacks, view)
    rows = _named(rows.join(shop_baskets(history, at), on="at", how="left"))
    return rows.select(
        pl.col("tag").alias(view.entity),
        _time("at").alias("event_timestamp"),
        _time(pl.lit(created_ms, pl.Int64)).alias("created"),
        *(pl.col(field.name).cast(_TYPES[field.type]) for field in view.fields),
    ).sort(view.entity, "event_timestamp")


def _running(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events with what was known right after each of them, per entity."""
    kind, outcome = pl.col("event.type"), pl.col("outcome")
    went_ahead = outcome.is_null() | (outcome != "decline")
    angle = (
        (pl.col("occurred_ms") / 3_600_000 + pl.col("device.timezone_offset_minutes") / 60) % 24
    ) * _HOUR_ANGLE
    rows = events.sort("tag", "observed_ms", "position").with_columns(
        is_order=(kind == "checkout") & went_ahead,
        is_return=kind == "return_request",
        is_coupon=(kind == "coupon_redemption") & went_ahead,
        angle=angle,
    )
    amount = pl.when("is_order").then(pl.col("order.amount_base_minor"))
    rows = rows.with_columns(
        amount=amount,
        order_ms=pl.when("is_order").then("observed_ms"),
        cos=pl.col("angle").cos().fill_null(0.0),
        sin=pl.col("angle").sin().fill_null(0.0),
    )
    per_tag = rows.select(
        "tag",
        "observed_ms",
        first_ms=pl.col("observed_ms").min().over("tag"),
        orders=pl.col("is_order").cum_sum().cast(pl.Int64).over("tag"),
        spend=pl.col("amount").fill_null(0).cum_sum().over("tag"),
        returns=pl.col("is_return").cum_sum().cast(pl.Int64).over("tag"),
        coupons=pl.col("is_coupon").cum_sum().cast(pl.Int64).over("tag"),
        hours=pl.col("angle").is_not_null().cum_sum().cast(pl.Int64).over("tag"),
        cos=pl.col("cos").cum_sum().over("tag"),
        sin=pl.col("sin").cum_sum().over("tag"),
        order_ms=pl.col("order_ms").forward_fill().over("tag"),
        distinct_addresses=_seen_so_far("tag.shipping_address"),
        distinct_devices=_seen_so_far("tag.device"),
        distinct_users=_seen_so_far("tag.user"),
        row=pl.int_range(pl.len()),
    )
    baskets = (
        rows.with_columns(row=pl.int_range(pl.len()))
        .filter(pl.col("amount").is_not_null())
        .select(
            "row",
            basket=pl.col("amount")
            .cast(pl.Float64)
            .rolling_median(MEDIAN_OF, min_samples=1)
            .over("tag"),
        )
    )
    return (
        per_tag.join(baskets, on="row", how="left")
        .sort("row")
        .with_columns(basket_median_minor=pl.col("basket").forward_fill().over("tag"))
        .drop("row", "basket")
    )


def _seen_so_far(column: str) -> pl.Expr:
    """Count the different values up to each event of an entity."""
    is_new = pl.col(column).is_not_null() & pl.struct("tag", column).is_first_distinct()
    return is_new.cum_sum().cast(pl.Int64).over("tag")


def _times(asking: pl.DataFrame, events: pl.DataFrame, as_of_ms: int) -> pl.DataFrame:
    """Return for which times each entity needs a row: (tag, at), sorted by time.

    `asking` are all events of the entities, `events` those that profiles are made of.
    """
    first = events.select("tag", "first_ms").unique()
    days = asking.select("tag", at=(pl.col("observed_ms") // DAY_MS) * DAY_MS).unique()
    known_days = days.join(first, on="tag").filter(
        (pl.col("at") > pl.col("first_ms")) & (pl.col("at") < as_of_ms)
    )
    last = first.select("tag", at=pl.lit(as_of_ms, pl.Int64))
    return pl.concat([known_days.select("tag", "at"), last]).sort("at", "tag")


def _before(at: pl.DataFrame, events: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return each row of `at` with what was known before its time in `column`, in its order."""
    return (
        at.with_row_index("place")
        .sort(column)
        .join_asof(
            events.sort("observed_ms", maintain_order=True),
            left_on=column,
            right_on="observed_ms",
            by="tag",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .sort("place")
        .drop("place")
    )


def _with_chargebacks(
    rows: pl.DataFrame,
    history: pl.DataFrame,
    chargebacks: pl.DataFrame | None,
    view: ProfileView,
) -> pl.DataFrame:
    if chargebacks is None:
        unknown = pl.lit(None, pl.Int64)
        return rows.with_columns(chargebacks_lifetime=unknown, chargebacks_90d=unknown)
    tag = pl.col(f"tag.{view.entity}").alias("tag")
    counted = (
        chargebacks.join(history.select("event_tag", tag), on="event_tag")
        .filter(pl.col("tag").is_not_null())
        .sort("known_ms")
        .select(
            "tag",
            observed_ms="known_ms",
            chargebacks=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("tag"),
        )
    )
    at = rows.select("tag", "at")
    known = _before(at, counted, "at")["chargebacks"].fill_null(0)
    start = at.with_columns(start=pl.col("at") - _WINDOW_MS)
    earlier = _before(start, counted, "start")["chargebacks"].fill_null(0)
    return rows.with_columns(chargebacks_lifetime=known, chargebacks_90d=known - earlier)


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """Give what was counted its names in the schema."""
    orders = pl.col("orders")
    length = (pl.col("cos").pow(2) + pl.col("sin").pow(2)).sqrt() / pl.col("hours")
    hour = (pl.arctan2("sin", "cos") / _HOUR_ANGLE) % 24
    is_usual = pl.col("hours") >= HOURS_NEEDED
    named = rows.with_columns(
        tenure_days=(pl.col("at") - pl.col("first_ms")) / DAY_MS,
        orders_lifetime="orders",
        spend_lifetime_minor="spend",
        spend_90d_minor="spend_90d",
        returns_lifetime="returns",
        return_share=pl.when(orders > 0).then(pl.col("returns") / orders),
        # Rounding can lift -1e-17 % 24 to 24 itself.
        usual_hour=pl.when(is_usual).then(pl.when(hour < 24).then(hour).otherwise(0.0)),
        hour_spread=pl.when(is_usual).then((1 - length).clip(0.0, 1.0)),
        order_age_days=(pl.col("at") - pl.col("order_ms")) / DAY_MS,
    )
    return named.with_columns(rfm_segment=segment()).with_columns(
        rfm_segment_name=pl.col("rfm_segment").replace_strict(
            list(range(len(RFM_SEGMENTS))), list(RFM_SEGMENTS), return_dtype=pl.String
        )
    )


def _time(column: str | pl.Expr) -> pl.Expr:
    """Read milliseconds as an aware time, in the unit that Feast and pandas read losslessly."""
    expression = pl.col(column) if isinstance(column, str) else column
    return (
        pl.from_epoch(expression, time_unit="ms")
        .dt.cast_time_unit("us")
        .dt.replace_time_zone("UTC")
    )
