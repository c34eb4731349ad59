"""The adapters' events are valid, ordered, and count what the data sets' own descriptions say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pytest

from features.event import parse_event
from service.settings import ShopSettings
from training.adapters import completejourney, fraud_ecommerce, online_retail
from training.command_train import currencies_of
from training.labelled import Labelled
from training.sources import DATA_SETS

pytestmark = pytest.mark.data

Times = dict[str, list[datetime]]


@pytest.fixture(scope="module")
def streams(data_dir: Path) -> dict[str, list[Labelled]]:
    return {name: list(row.events(data_dir)) for name, row in DATA_SETS.items()}


def of(stream: list[Labelled], kind: str) -> Iterator[dict[str, object]]:
    return (item.event for item in stream if item.event["type"] == kind)


def times_by_user(stream: list[Labelled], kind: str) -> Times:
    times: Times = defaultdict(list)
    for item in stream:
        if item.event["type"] == kind:
            at = datetime.fromisoformat(item.event["occurred_at"])
            times[item.event["user"]["id"]].append(at)
    return times


def most_within(times: list[datetime], days: int) -> int:
    """The largest number of times in any window of so many days."""
    span = timedelta(days=days)
    return max(sum(at - span < other <= at for other in times) for at in times)


@pytest.mark.parametrize("name", DATA_SETS)
def test_events_are_valid_and_in_order(streams: dict[str, list[Labelled]], name: str) -> None:
    """Every event would be taken by the API, in time order, under an id of its own."""
    stream, currencies = streams[name], currencies_of(ShopSettings())
    assert len(stream) == DATA_SETS[name].count
    assert len({item.event["event_id"] for item in stream}) == len(stream)
    moments = [datetime.fromisoformat(item.event["occurred_at"]) for item in stream]
    assert all(a <= b for a, b in pairwise(moments))
    assert {item.label is None for item in stream} == {not DATA_SETS[name].is_labelled}
    for item in stream[:: max(1, len(stream) // 3000)]:
        parse_event(orjson.dumps(item.event), currencies)


def test_fraud_ecommerce_counts(streams: dict[str, list[Labelled]]) -> None:
    """51,689 people, 4,832 frauds, 48,918 devices of which 1,294 shared, addresses on 30,189."""
    signups = [item for item in streams[fraud_ecommerce.NAME] if item.event["type"] == "signup"]
    assert len(signups) == 51_689
    assert sum(item.label or 0 for item in signups) == 4832
    users_of = Counter(item.event["device"]["id"] for item in signups)
    assert len(users_of) == 48_918
    assert sum(count > 1 for count in users_of.values()) == 1294
    addresses = [item.event["network"]["ip"] for item in signups if "network" in item.event]
    assert len(addresses) == 30_189
    impossible = sum(int(address.split(".")[0]) >= 224 for address in addresses)
    assert impossible / len(addresses) == pytest.approx(0.128, abs=0.001)


def test_fraud_ecommerce_signs_up_before_it_buys(streams: dict[str, list[Labelled]]) -> None:
    """Also within one minute, which is the data's resolution."""
    seen: set[str] = set()
    for item in streams[fraud_ecommerce.NAME]:
        user = item.event["user"]
        if item.event["type"] == "signup":
            assert item.event["occurred_at"] == user["created_at"]
            seen.add(user["id"])
        else:
            assert user["id"] in seen


def test_online_retail_counts(data_dir: Path) -> None:
    """Every one of the 25,900 invoices is accounted for; 3,836 of them are cancellations."""
    counts: Counter[str] = Counter()
    events = sum(1 for _ in online_retail.events(data_dir, counts))
    assert sum(counts.values()) == 25_900
    assert counts["returns"] + counts["returns without a customer"] == 3836
    assert events == counts["orders"] + counts["returns"]


def test_online_retail_returns_as_often_as_described(streams: dict[str, list[Labelled]]) -> None:
    """The shares of all 4,372 customers that reach 3 and 5 returns within 7, 30 and 90 days."""
    returns = times_by_user(streams[online_retail.NAME], "return_request")
    described = {7: (0.0087, 0.0002), 30: (0.024, 0.0030), 90: (0.052, 0.012)}
    for days, (three, five) in described.items():
        most = np.array([most_within(times, days) for times in returns.values()])
        assert (most >= 3).sum() / 4372 == pytest.approx(three, rel=0.04, abs=0.0003)
        assert (most >= 5).sum() / 4372 == pytest.approx(five, rel=0.04, abs=0.0003)


def test_online_retail_returns_name_an_earlier_order(streams: dict[str, list[Labelled]]) -> None:
    """Most returns are of an article that the customer bought before, in an order that came."""
    orders: set[str] = set()
    known = total = 0
    for item in streams[online_retail.NAME]:
        if item.event["type"] == "checkout":
            orders.add(item.event["order"]["id"])
        else:
            total += 1
            known += item.event["return"]["order_id"] in orders
    assert known / total > 0.8


def test_completejourney_redeems_as_often_as_described(
    streams: dict[str, list[Labelled]],
) -> None:
    """410 households; per day p95 4, p99 8, at most 19; in any 7 days 42 % reach 3, 13.4 % 5."""
    stream = streams[completejourney.NAME]
    times = times_by_user(stream, "coupon_redemption")
    assert (len(stream), len(times)) == (2102, 410)
    of_day = Counter((user, at.date()) for user, moments in times.items() for at in moments)
    counts = np.array(list(of_day.values()))
    assert (np.percentile(counts, 95), counts.max()) == (4, 19)
    # Days, not moments: the set knows no hours, and its shares were counted by day.
    days = {user: [_midnight(at) for at in moments] for user, moments in times.items()}
    most = np.array([most_within(moments, 7) for moments in days.values()])
    for least, share in ((3, 0.42), (5, 0.134), (10, 0.015), (20, 0.0)):
        assert (most >= least).mean() == pytest.approx(share, abs=0.006)


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0)
