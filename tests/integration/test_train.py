"""From simulated traffic to a bundle that the scorer loads, the same every time."""

from __future__ import annotations

import math
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from features.catalog import Catalog
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from service.bundle import MODEL_CAUSES, current_bundle, read_bundle
from service.scorer import Scorer, interpolate
from tests.served import touchstone
from training.bundle_writer import make_current, write_bundle
from training.causes import causes_of
from training.dataset import Table, build_table
from training.neutral import filled
from training.simulator.stream import Traffic, simulate
from training.train import TooFewEvents, Trained, split_by_share, split_by_time, train

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
CREATED = datetime(2026, 6, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.fixture(scope="module")
def table(catalog: Catalog) -> Table:
    traffic = Traffic(6000, 3, UNTIL - timedelta(days=21), UNTIL)
    return build_table(simulate(traffic), catalog, CurrencyTable("CNY", {}, {}))


@pytest.fixture(scope="module")
def trained(table: Table, catalog: Catalog) -> Trained:
    return train(table, catalog, source="simulator", created_at=CREATED)


def test_bundle_is_written_loaded_and_scores(
    tmp_path: Path, trained: Trained, table: Table, catalog: Catalog
) -> None:
    """What was trained is what serves: calibrated `Booster.predict`, bit for bit."""
    directory = write_bundle(tmp_path, trained)
    make_current(tmp_path, directory)
    assert current_bundle(tmp_path) == directory
    assert directory.name == read_bundle(directory, catalog).version[:16]
    scorer = Scorer.load(directory, catalog)
    last = table.part(np.arange(len(table)) >= len(table) - 300)
    rows = filled(last, trained.manifest.neutral, catalog.model_features).rows
    raw = np.asarray(lightgbm.Booster(model_str=trained.model_text).predict(rows))
    calibration = trained.manifest.calibration
    expected = [interpolate(calibration.x, calibration.y, value) for value in raw.tolist()]
    served = zip(last.rows.tolist(), last.types, strict=True)
    assert [scorer.score(row, kind) for row, kind in served] == expected


def test_training_again_gives_the_same_bundle(
    tmp_path: Path, trained: Trained, table: Table, catalog: Catalog
) -> None:
    """Equal data and seed: equal bytes, one directory; another seed: another model."""
    again = train(table, catalog, source="simulator", created_at=CREATED)
    assert again == trained
    assert write_bundle(tmp_path, again) == write_bundle(tmp_path, trained)
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [
        write_bundle(tmp_path, trained).name
    ]
    other = train(table, catalog, source="simulator", seed=2, created_at=CREATED)
    assert other.manifest.model_sha256 != trained.manifest.model_sha256


def test_the_model_tells_abuse_from_honest_traffic(trained: Trained) -> None:
    """On the later slice, which it never saw, ranks are good and probabilities mean something."""
    test = trained.manifest.metrics["test"]
    assert isinstance(test, dict)
    auc, brier = test["auc"], test["brier"]
    assert isinstance(auc, float)
    assert isinstance(brier, float)
    assert auc > 0.95
    assert brier < 0.04


def test_a_farmed_account_is_explained(
    tmp_path: Path, trained: Trained, table: Table, catalog: Catalog
) -> None:
    """Events of a coupon farm score high, and the causes named are known codes."""
    scorer = Scorer.load(write_bundle(tmp_path, trained), catalog)
    farmed = [
        row
        for row, scenario, kind in zip(table.rows, table.scenarios, table.types, strict=True)
        if scenario == "coupon_farm" and kind == "coupon_redemption"
    ]
    row = farmed[-1].tolist()
    causes = scorer.explain(row, "coupon_redemption")
    assert scorer.score(row, "coupon_redemption") > 0.5
    assert causes
    assert {code for code, _ in causes} <= MODEL_CAUSES


def test_every_model_feature_has_a_cause(catalog: Catalog) -> None:
    """Few features are left without a plain cause."""
    causes = causes_of(catalog.model_features)
    others = [name for name, cause in causes.items() if cause == "MODEL_OTHER"]
    assert len(others) <= len(causes) / 10, others
    assert set(causes.values()) <= MODEL_CAUSES


def test_splits_never_overlap_and_follow_time(table: Table) -> None:
    """Training ends before calibration begins, and that before the judging."""
    by_time = split_by_time(
        table, UNTIL - timedelta(days=9), UNTIL - timedelta(days=5), UNTIL - timedelta(days=1)
    )
    for split in (split_by_share(table), by_time):
        times = [table.times_ms[part] for part in (split.train, split.calibrate, split.test)]
        assert times[0].max() <= times[1].min()
        assert times[1].max() <= times[2].min()
        assert not (split.train & split.calibrate | split.calibrate & split.test).any()


def test_too_little_to_learn_from_is_said(table: Table, catalog: Catalog) -> None:
    """A handful of events, or only one kind, is refused with the numbers."""
    with pytest.raises(TooFewEvents, match="60 labelled events"):
        train(table.part(np.arange(len(table)) < 100), catalog, source="simulator")


def test_missing_everything_still_scores(
    tmp_path: Path, trained: Trained, catalog: Catalog
) -> None:
    """With Valkey down and a bare event the row is all NaN; nobody is an attacker for that."""
    scorer = Scorer.load(write_bundle(tmp_path, trained), catalog)
    for kind in EVENT_TYPES:
        assert 0 < scorer.score([math.nan] * len(catalog.model_features), kind) < 0.2, kind


def test_what_the_model_always_knew_has_a_neutral_value(
    trained: Trained, table: Table, catalog: Catalog
) -> None:
    """The median of honest events of that type; what is often unknown has none."""
    neutral = trained.manifest.neutral["checkout"]
    assert neutral["ip_first_seen_seconds"] > 0
    assert "event_coupon_share" not in neutral, "many orders have no coupon"
    train_part = table.part(split_by_share(table).train)
    place = catalog.model_places["order.amount_base_minor"]
    honest = train_part.part(
        (np.array(train_part.types) == "checkout") & (train_part.labels == 0)
    ).rows[:, place]
    assert neutral["order.amount_base_minor"] == np.median(honest)


def test_a_shop_that_says_less_is_no_shop_of_attackers(
    tmp_path: Path, trained: Trained, table: Table, catalog: Catalog
) -> None:
    """Honest purchases without network and device score no higher than with them."""
    scorer = Scorer.load(write_bundle(tmp_path, trained), catalog)
    silent = [
        place
        for name, place in catalog.model_places.items()
        if name.startswith(("ip_", "device", "event_ip", "event_browser", "event_agent"))
    ]
    honest = table.part((np.array(table.types) == "checkout") & (table.labels == 0))
    scores = []
    for row in honest.rows[-200:].tolist():
        for place in silent:
            row[place] = math.nan
        scores.append(scorer.score(row, "checkout"))
    assert np.mean(np.array(scores) >= 0.3) <= 0.02


def test_the_train_command_makes_a_live_bundle(tmp_path: Path, catalog: Catalog) -> None:
    """`touchstone train` says how good the model is and leaves it where the service looks."""
    command = touchstone(
        "train", "--events", "2500", "--seed", "3", "--until", "2026-06-01", "--var", str(tmp_path)
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "On the later part: AUC" in done.stdout
    bundle = current_bundle(tmp_path)
    assert bundle is not None
    assert bundle.name in done.stdout
    metrics = Scorer.load(bundle, catalog).bundle.manifest.metrics
    assert metrics["source"] == "simulator"
