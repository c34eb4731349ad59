"""How is a bundle made from a table?

Split by time, never at random: the first part trains the trees, the next calibrates, the last one
judges and is seen by neither. Invariant: equal table, catalog and seed give an equal model,
whatever the number of cores.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from features.catalog import Catalog
from service.bundle import BUNDLE_FORMAT, Calibration, Manifest
from service.scorer import interpolate
from training.calibration import fit_calibration
from training.causes import causes_of
from training.dataset import Table
from training.metrics import Vector, summary
from training.neutral import filled, neutral_of

TREES = 200
# TreeSHAP of 200 trees: 15 leaves without a bound on the depth 0.9 ms a row, these 0.15 ms.
LEAVES = 8
DEPTH = 4
TRAIN_SHARE, CALIBRATE_SHARE = 0.6, 0.2

Progress = Callable[[int], None]
"""Called with the number of trees grown so far."""


class TooFewEvents(Exception):
    """The table cannot be learned from; the text says what is missing."""

    code = "too_few_events"


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished model, not written yet."""

    model_text: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Split:
    """Which events train, calibrate and judge."""

    train: NDArray[np.bool_]
    calibrate: NDArray[np.bool_]
    test: NDArray[np.bool_]


def split_by_share(table: Table) -> Split:
    """Split by position in time: the first 60 % train, the next 20 % calibrate, the rest judges."""
    place = np.arange(len(table)) / max(len(table), 1)
    train = place < TRAIN_SHARE
    calibrate = ~train & (place < TRAIN_SHARE + CALIBRATE_SHARE)
    return Split(train, calibrate, ~train & ~calibrate)


def split_by_time(
    table: Table, train_until: datetime, calibrate_until: datetime, test_until: datetime
) -> Split:
    """Split at aware times, each exclusive; what is later than `test_until` is in no part."""
    first, second, third = (
        int(at.timestamp() * 1000) for at in (train_until, calibrate_until, test_until)
    )
    times = table.times_ms
    return Split(
        times < first,
        (first <= times) & (times < second),
        (second <= times) & (times < third),
    )


def train(
    table: Table,
    catalog: Catalog,
    *,
    source: str,
    seed: int = 1,
    split: Split | None = None,
    progress: Progress | None = None,
    created_at: datetime | None = None,
) -> Trained:
    """Train, calibrate and judge; raises `TooFewEvents` where a part holds only one class."""
    split = split or split_by_share(table)
    known = ~np.isnan(table.labels)
    train_part, calibrate_part, test_part = (
        table.part(part & known) for part in (split.train, split.calibrate, split.test)
    )
    _check(train_part)
    features = catalog.model_features
    neutral = neutral_of(train_part, features)
    train_part, calibrate_part, test_part = (
        filled(part, neutral, features) for part in (train_part, calibrate_part, test_part)
    )
    model_text = grow(train_part, features, seed, progress)
    calibration = fit_calibration(
        calibrate_part.labels, raw_scores(model_text, calibrate_part.rows)
    )
    raw = raw_scores(model_text, test_part.rows)
    metrics: dict[str, JsonValue] = {
        "source": source,
        "trees": TREES,
        "events": len(table),
        "train": _period(train_part),
        "calibrate": _period(calibrate_part),
        "test": {**_period(test_part), **judge(calibration, test_part.labels, raw)},
    }
    manifest = Manifest(
        format=BUNDLE_FORMAT,
        created_at=created_at or datetime.now(UTC).replace(microsecond=0),
        features=features,
        schema_hash=catalog.schema_hash,
        calibration=calibration,
        causes=causes_of(features),
        neutral=neutral,
        metrics=metrics,
        data_fingerprint=table.fingerprint,
        model_sha256=hashlib.sha256(model_text.encode()).hexdigest(),
    )
    return Trained(model_text, manifest)


def grow(
    part: Table, features: tuple[str, ...], seed: int, progress: Progress | None = None
) -> str:
    """Grow the trees on a table whose labels are all known; return the model's text."""
    import lightgbm

    options = {
        "objective": "binary",
        "num_leaves": LEAVES,
        "max_depth": DEPTH,
        "learning_rate": 0.05,
        "min_data_in_leaf": 30,
        "feature_fraction": 0.7,
        "lambda_l2": 1.0,
        "max_bin": 127,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": os.cpu_count() or 1,
        "verbose": -1,
    }

    def grown(environment: lightgbm.callback.CallbackEnv) -> None:
        if progress is not None:
            progress(environment.iteration + 1)

    data = lightgbm.Dataset(part.rows, part.labels, feature_name=list(features))
    model = lightgbm.train(options, data, num_boost_round=TREES, callbacks=[grown])
    # The parameters at the end of the text name the number of cores; the model is the rest.
    text: str = model.model_to_string().split("\nparameters:")[0] + "\n"
    return text


def raw_scores(model_text: str, rows: NDArray[np.float64]) -> Vector:
    """Return the model's uncalibrated probabilities of many rows at once."""
    import lightgbm

    if not len(rows):
        return np.empty(0)
    return np.asarray(lightgbm.Booster(model_str=model_text).predict(rows), dtype=np.float64)


def judge(calibration: Calibration, labels: Vector, raw: Vector) -> dict[str, JsonValue]:
    """Return the figures of a slice. Ranks are the raw score's: a table has plateaus."""
    x, y = calibration.x, calibration.y
    calibrated = np.array([interpolate(x, y, score) for score in raw.tolist()])
    figures = summary(labels, raw)
    return {**figures, "brier": summary(labels, calibrated)["brier"]}


def _period(part: Table) -> dict[str, JsonValue]:
    figures: dict[str, JsonValue] = {"events": len(part), "abusive": int(part.labels.sum())}
    if len(part):
        for name, moment in (("from", part.times_ms[0]), ("to", part.times_ms[-1])):
            at = datetime.fromtimestamp(int(moment) / 1000, UTC)
            figures[name] = at.isoformat(timespec="seconds")
    return figures


def _check(part: Table) -> None:
    bad = int(part.labels.sum())
    if not 0 < bad < len(part) or len(part) < 200:
        raise TooFewEvents(
            f"{len(part)} labelled events to train on, {bad} of them abusive; "
            "at least 200 with both kinds are needed (a larger --events, or another data set)"
        )
