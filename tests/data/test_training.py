"""On real data the figures are those that the data allows: better ones would be a leak."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

import pytest

from features.catalog import Catalog
from service.bundle import current_bundle
from service.scorer import Scorer
from service.settings import ShopSettings
from tests.served import touchstone
from training.adapters import fraud_ecommerce
from training.command_train import currencies_of
from training.dataset import Table, build_table
from training.evaluate import Judged, judge_fraud_ecommerce
from training.train import split_by_time, train

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.fixture(scope="module")
def first_quarter(data_dir: Path, catalog: Catalog) -> Table:
    """Sign-ups and purchases of January to March 2015."""
    stream = takewhile(
        lambda item: item.event["occurred_at"] < "2015-04", fraud_ecommerce.events(data_dir)
    )
    return build_table(stream, catalog, currencies_of(ShopSettings()))


@pytest.fixture(scope="module")
def figures(first_quarter: Table, catalog: Catalog) -> dict[tuple[str, str], Judged]:
    judged = judge_fraud_ecommerce(first_quarter, catalog.model_features)
    return {(row.split, row.type): row for row in judged}


def test_the_burst_is_found_by_its_shared_devices(
    figures: dict[tuple[str, str], Judged],
) -> None:
    """Six days of the January attack teach to find the rest; at sign-up that is harder."""
    assert figures["burst", "checkout"].auc > 0.95
    assert figures["burst", "checkout"].recall_at_1pct_fpr > 0.9
    assert figures["burst", "signup"].auc > 0.75


@pytest.mark.parametrize("split", ["steady", "drift"])
@pytest.mark.parametrize("kind", ["signup", "checkout"])
def test_steady_traffic_stays_nearly_unpredictable(
    figures: dict[tuple[str, str], Judged], split: str, kind: str
) -> None:
    """An AUC above .65 here would mean that a label, or the future, got into a row."""
    assert 0.40 < figures[split, kind].auc < 0.65


def test_first_weeks_make_a_bundle(first_quarter: Table, catalog: Catalog) -> None:
    """A split at given times trains, calibrates and judges on the right slices."""
    split = split_by_time(
        first_quarter,
        datetime(2015, 1, 6, tzinfo=UTC),
        datetime(2015, 1, 9, tzinfo=UTC),
        datetime(2015, 2, 1, tzinfo=UTC),
    )
    trained = train(first_quarter, catalog, source=fraud_ecommerce.NAME, split=split)
    test = trained.manifest.metrics["test"]
    assert isinstance(test, dict)
    assert str(test["from"]) >= "2015-01-09"
    assert str(test["to"]) < "2015-02-01"
    assert isinstance(test["auc"], float)
    assert test["auc"] > 0.8


def test_the_train_command_takes_the_data_set(
    data_dir: Path, tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`touchstone train --data fraud-ecommerce` leaves a live bundle and says how good it is."""
    monkeypatch.setenv("TOUCHSTONE_DATA", str(data_dir))
    command = touchstone("train", "--data", "fraud-ecommerce", "--var", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=True)
    assert "Model from fraud-ecommerce" in done.stdout
    bundle = current_bundle(tmp_path)
    assert bundle is not None
    assert Scorer.load(bundle, catalog).features == catalog.model_features
