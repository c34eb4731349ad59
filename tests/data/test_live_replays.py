"""A slice of each real data set goes through the live service, in its own time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import pytest

from features.catalog import Catalog
from service.launch import running_service
from service.settings import ShopSettings, load_settings
from training.adapters import completejourney, fraud_ecommerce, online_retail
from training.bundle_writer import make_current, write_bundle
from training.command_train import currencies_of
from training.dataset import build_table
from training.demo_state import demo_key
from training.labelled import Labelled
from training.replay.figures import Figures
from training.replay.run import Replay
from training.train import split_by_time, train

pytestmark = pytest.mark.data


@contextmanager
def replaying(var: Path) -> Iterator[Replay]:
    """A service on `var` whose clock follows the data, and a replay into it."""
    with running_service(var, environment={"TOUCHSTONE_CLOCK": "event"}) as service:
        yield Replay(service.url, demo_key(load_settings(var)))


def replayed(var: Path, name: str, stream: Iterator[Labelled]) -> dict[str, Any]:
    with replaying(var) as replay:
        report = replay.run(stream, Figures(name)).as_json()
    assert replay.follows_data
    return report


def test_fraud_ecommerce_with_a_model_of_its_first_days(data_dir: Path, tmp_path: Path) -> None:
    """Trained on January 1 to 3, the service meets the days after: the burst is caught."""
    catalog = Catalog.load()

    def until(day: str) -> Iterator[Labelled]:
        events = fraud_ecommerce.events(data_dir)
        return takewhile(lambda item: item.event["occurred_at"] < day, events)

    table = build_table(until("2015-01-05"), catalog, currencies_of(ShopSettings()))
    moments = (datetime(2015, 1, day, tzinfo=UTC) for day in (3, 4, 5))
    split = split_by_time(table, *moments)
    trained = train(table, catalog, source=fraud_ecommerce.NAME, split=split)
    make_current(tmp_path, write_bundle(tmp_path, trained))
    with replaying(tmp_path) as replay:
        replay.run(until("2015-01-04"), Figures("history"))
        days_after = (item for item in until("2015-01-06") if later(item))
        report = replay.run(days_after, Figures(fraud_ecommerce.NAME)).as_json()
    assert report["degraded"] == {}
    assert set(report["types"]) == {"signup", "checkout"}
    assert report["score"]["auc"] > 0.8
    assert report["abusive"]["stopped_share"] > 3 * report["honest"]["stopped_share"]


def later(item: Labelled) -> bool:
    return bool(item.event["occurred_at"] >= "2015-01-04")


def test_online_retail_invoices_and_returns(data_dir: Path, tmp_path: Path) -> None:
    """Five hundred invoices and returns of a real shop: few honest people are bothered."""
    stream = islice(online_retail.events(data_dir), 500)
    report = replayed(tmp_path, online_retail.NAME, stream)
    assert set(report["types"]) == {"checkout", "return_request"}
    assert report["events"] == 500
    assert report["degraded"] == {"model": 500}  # no bundle here: the rules alone decide
    assert report["honest"]["stopped_share"] < 0.02


def test_completejourney_redemptions(data_dir: Path, tmp_path: Path) -> None:
    """Real households redeem several coupons a day; hardly any is stopped for it."""
    stream = islice(completejourney.events(data_dir), 700)
    report = replayed(tmp_path, completejourney.NAME, stream)
    assert report["types"]["coupon_redemption"]["events"] == 700
    assert report["honest"]["stopped_share"] < 0.02
