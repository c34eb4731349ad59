"""Profile rows against their naive oracle, and at the edges that matter."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.history import HistoryEvent
from features.profiles.schema import DEVICE, USER, VIEWS, ProfileView
from tests.offline import frame_of
from tests.oracles.profile_oracle import profile_at
from tests.profiles import DAY_MS, MIDNIGHT_MS, event, order
from training.profiles.rows import profile_rows

AS_OF = MIDNIGHT_MS
TYPES = ("checkout", "login", "coupon_redemption", "return_request", "signup")


def rows_at(
    events: list[HistoryEvent],
    view: ProfileView,
    as_of_ms: int = AS_OF,
    chargebacks: dict[str, int] | None = None,
) -> pl.DataFrame:
    history = frame_of(events).filter(pl.col("observed_ms") < as_of_ms)
    known = None
    if chargebacks is not None:
        known = pl.DataFrame(
            {"event_tag": list(chargebacks), "known_ms": list(chargebacks.values())},
            schema={"event_tag": pl.String, "known_ms": pl.Int64},
        ).filter(pl.col("known_ms") < as_of_ms)
    history = history.sort("observed_ms", "position")
    return profile_rows(history, known, view, as_of_ms=as_of_ms, created_ms=as_of_ms)


def latest(rows: pl.DataFrame) -> dict[str, Any]:
    return rows.row(-1, named=True)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[HistoryEvent], dict[str, int] | None]:
    events = []
    hours = draw(st.lists(st.integers(1, 200 * 24), min_size=1, max_size=40))
    for hour in hours:
        kind = draw(st.sampled_from(TYPES))
        tags = {"user": draw(st.sampled_from("ab"))}
        if draw(st.booleans()):
            tags["device"] = draw(st.sampled_from("xy"))
        if draw(st.booleans()):
            tags["shipping_address"] = draw(st.sampled_from("pqr"))
        fields: dict[str, Any] = {}
        if kind == "checkout":
            fields["order__amount_base_minor"] = draw(st.integers(0, 5000))
        if kind == "login":
            fields["login__succeeded"] = draw(st.booleans())
        if draw(st.booleans()):
            fields["device__timezone_offset_minutes"] = draw(st.sampled_from((0, 480, -300)))
        outcome = draw(st.sampled_from((None, "approve", "decline")))
        at_ms = AS_OF - hour * 3_600_000
        events.append(event(kind, at_ms, outcome=outcome, tags=tags, **fields))
    if not draw(st.booleans()):
        return events, None
    charged = draw(st.lists(st.sampled_from(events), max_size=3, unique_by=lambda e: e.event_tag))
    delays = {one.event_tag: draw(st.integers(0, 60)) * DAY_MS for one in charged}
    return events, {one.event_tag: one.observed_ms + delays[one.event_tag] for one in charged}


@given(histories())
@settings(max_examples=60)
def test_every_row_says_what_a_naive_look_at_all_events_before_it_says(
    drawn: tuple[list[HistoryEvent], dict[str, int] | None],
) -> None:
    """Every field of every row, for training and for decisions, agrees with the oracle."""
    events, chargebacks = drawn
    for view in VIEWS.values():
        rows = rows_at(events, view, chargebacks=chargebacks)
        for row in rows.iter_rows(named=True):
            at_ms = round(row["event_timestamp"].timestamp() * 1000)
            expected = profile_at(events, chargebacks, view, row[view.entity], at_ms)
            assert expected is not None
            for name, value in expected.items():
                assert_same(name, row[name], value, row["hour_spread"])


def assert_same(name: str, found: Any, expected: Any, spread: float | None) -> None:
    if name == "usual_hour" and expected is not None:
        if spread is not None and spread > 1 - 1e-9:
            return  # no direction: any hour is as usual as another
        apart = abs(found - expected) % 24
        assert min(apart, 24 - apart) < 1e-6
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-9), name
    else:
        assert found == expected, name


@given(histories())
@settings(max_examples=30)
def test_there_is_a_row_for_each_entity_now_and_for_each_day_on_which_it_asks(
    drawn: tuple[list[HistoryEvent], dict[str, int] | None],
) -> None:
    """Each event of an entity that is known at midnight has a row of that midnight to meet."""
    events, _ = drawn
    for view in VIEWS.values():
        rows = rows_at(events, view)
        found = {
            (row[view.entity], round(row["event_timestamp"].timestamp() * 1000))
            for row in rows.select(view.entity, "event_timestamp").iter_rows(named=True)
        }
        wanted = set()
        for one in events:
            tag = one.tags.get(view.entity)
            for at_ms in (one.observed_ms // DAY_MS * DAY_MS, AS_OF):
                if tag is not None and profile_at(events, None, view, tag, at_ms) is not None:
                    wanted.add((tag, at_ms))
        assert found == wanted


def test_a_row_knows_nothing_of_its_own_moment_or_later() -> None:
    """An event at the very millisecond of a row is not in it; one a millisecond earlier is."""
    before, at = order(AS_OF - DAY_MS - 1), order(AS_OF - DAY_MS)
    rows = rows_at([before, at, order(AS_OF - 1)], USER)
    assert rows["event_timestamp"].dt.epoch("ms").to_list() == [AS_OF - DAY_MS, AS_OF]
    assert rows["orders_lifetime"].to_list() == [1, 3]


def test_what_comes_later_changes_no_row_of_before() -> None:
    """A build with a longer history has the same rows for the days that an earlier one had."""
    events = [order(AS_OF - hours * 3_600_000, 100 * hours) for hours in range(20, 400, 7)]
    late = [order(AS_OF + hours * 3_600_000, 9_999) for hours in range(48)]
    earlier = rows_at(events, USER)
    later = rows_at(events + late, USER, as_of_ms=AS_OF + 3 * DAY_MS)
    past = later.filter(pl.col("event_timestamp").dt.epoch("ms") <= AS_OF)
    assert past.drop("created").equals(earlier.drop("created"))


def test_the_window_of_90_days_has_its_beginning_and_not_its_end() -> None:
    """An order exactly 90 days old counts; one a millisecond older no longer does."""
    start = AS_OF - 90 * DAY_MS
    row = latest(rows_at([order(start - 1, 5), order(start, 7)], USER))
    assert (row["orders_90d"], row["spend_90d_minor"]) == (1, 7)
    assert (row["orders_lifetime"], row["spend_lifetime_minor"]) == (2, 12)


def test_a_chargeback_counts_from_the_day_it_is_known() -> None:
    """Before it was known an order that was charged back looks like any other."""
    bought = order(AS_OF - 50 * DAY_MS)
    events = [bought, *(event("login", AS_OF - days * DAY_MS + 1) for days in (20, 5))]
    rows = rows_at(events, USER, chargebacks={bought.event_tag: AS_OF - 10 * DAY_MS})
    assert rows["chargebacks_lifetime"].to_list() == [0, 1, 1]


def test_who_only_failed_to_log_in_has_no_profile() -> None:
    """A failed login makes nobody known: it says nothing of the user it names."""
    failed = event("login", AS_OF - 5, tags={"user": "u9"}, login__succeeded=False)
    rows = rows_at([failed, order(AS_OF - 9)], USER)
    assert rows["user"].to_list() == ["u1"]


def test_declined_orders_and_coupons_count_as_nothing_bought() -> None:
    """What was declined did not happen, but the visit did."""
    events = [
        order(AS_OF - 4000, outcome="decline"),
        event("coupon_redemption", AS_OF - 3000, outcome="decline"),
        event("coupon_redemption", AS_OF - 2000, outcome="challenge"),
    ]
    row = latest(rows_at(events, USER))
    assert (row["orders_lifetime"], row["coupons_90d"], row["rfm_segment_name"]) == (0, 1, "none")
    assert row["return_share"] is None


def test_usual_hours_go_around_midnight() -> None:
    """Half past eleven in the evening and half past midnight are usual at midnight, not at noon."""
    half = 1_800_000
    events = [
        event("login", AS_OF - days * DAY_MS + shift, device__timezone_offset_minutes=0)
        for days in (2, 3)
        for shift in (-half, half)
    ]
    row = latest(rows_at(events, DEVICE))
    assert min(row["usual_hour"], 24 - row["usual_hour"]) < 1e-6
    assert row["hour_spread"] == pytest.approx(1 - math.cos(math.pi / 24))


@pytest.mark.parametrize(
    ("days_ago", "amounts", "segment"),
    [
        ([200], [100], "dormant"),
        ([31], [100], "one_off"),
        ([29], [100], "new"),
        ([150, 100], [100, 100], "at_risk"),
        ([89, 10], [100, 100], "regular"),
        ([9, 8, 7, 6, 5], [100] * 5, "loyal"),
        ([9, 8, 7, 6, 5], [900] * 5, "champion"),
    ],
)
def test_segments_follow_recency_frequency_and_value(
    days_ago: list[int], amounts: list[int], segment: str
) -> None:
    """Each segment is what the list of segments says."""
    others = [order(AS_OF - 3 * DAY_MS, 400, tags={"user": f"other{n}"}) for n in range(9)]
    own = [
        order(AS_OF - days * DAY_MS, amount) for days, amount in zip(days_ago, amounts, strict=True)
    ]
    rows = rows_at(own + others, USER).filter(pl.col("user") == "u1")
    assert latest(rows)["rfm_segment_name"] == segment
