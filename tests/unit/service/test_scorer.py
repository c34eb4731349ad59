"""The scorer gives the bits of `Booster.predict`, calibrated, and explains in plain causes."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from service.bundle import BundleMismatch
from service.native_model import (
    BoosterRowModel,
    ModelUnusable,
    NativeRowModel,
    load_row_model,
    open_library,
)
from service.scorer import Scorer, interpolate
from tests.unit.service.test_bundle import FEATURES, Schema, bundle_at, rows, tiny_model


@pytest.fixture(scope="module")
def model_text() -> str:
    return tiny_model()


def test_fast_path_equals_booster_predict_bit_for_bit(model_text: str) -> None:
    """Every row, missing values included, has the very same bits on both paths."""
    model = load_row_model(model_text)
    assert isinstance(model, NativeRowModel)
    booster = lightgbm.Booster(model_str=model_text)
    matrix = rows(500, seed=5)
    expected = np.asarray(booster.predict(matrix))
    assert [model.probability(row) for row in matrix.tolist()] == expected.tolist()
    contributions = np.asarray(booster.predict(matrix[:50], pred_contrib=True))
    assert [model.contributions(row) for row in matrix[:50].tolist()] == contributions.tolist()


def test_fallback_equals_fast_path(model_text: str) -> None:
    """Without the native symbols the public API gives the same values."""
    fast, slow = load_row_model(model_text), BoosterRowModel(model_text)
    for row in rows(40, seed=6).tolist():
        assert slow.probability(row) == fast.probability(row)
        assert slow.contributions(row) == fast.contributions(row)


def test_rows_of_another_length_are_refused(model_text: str) -> None:
    """A short, long or single-valued row never reaches the model."""
    for model in (load_row_model(model_text), BoosterRowModel(model_text)):
        for wrong in ([], [1.0], [0.0] * (len(FEATURES) - 1), [0.0] * (len(FEATURES) + 1)):
            with pytest.raises(ModelUnusable, match="the model needs"):
                model.probability(wrong)


def test_two_models_in_one_process_do_not_mix(model_text: str) -> None:
    """Buffers belong to the instance; freeing one leaves the other as it was."""
    first, second = load_row_model(model_text), load_row_model(tiny_model(seed=9))
    row, other = rows(2, seed=7).tolist()
    before = first.probability(row)
    second.probability(other)
    del second
    assert first.probability(row) == before


def test_score_is_calibrated(tmp_path: Path, model_text: str) -> None:
    """The score is the table's value at the raw probability."""
    directory = bundle_at(tmp_path, model_text, x=(0.1, 0.9), y=(0.0, 0.5))
    scorer = Scorer.load(directory, Schema())
    raw = load_row_model(model_text)
    for row in rows(50, seed=8).tolist():
        value = raw.probability(row)
        expected = min(max((value - 0.1) / 0.8, 0.0), 1.0) * 0.5
        assert scorer.score(row, "checkout") == pytest.approx(expected, abs=1e-12)


def test_interpolation_is_exact_at_its_points() -> None:
    """At the points the table's own values, outside of them the nearest end."""
    x, y = (0.1, 0.2, 0.7), (0.0, 0.25, 1.0)
    assert [interpolate(x, y, at) for at in (0.0, 0.1, 0.2, 0.7, 1.0)] == [0, 0, 0.25, 1, 1]


def test_explain_groups_and_sorts_positive_causes(tmp_path: Path, model_text: str) -> None:
    """Causes are sums of their features' contributions; what speaks against abuse is left out."""
    scorer = Scorer.load(bundle_at(tmp_path, model_text), Schema())
    raw = load_row_model(model_text)
    for row in rows(30, seed=4).tolist():
        causes = scorer.explain(row, "checkout")
        values = raw.contributions(row)
        assert [weight for _, weight in causes] == sorted((w for _, w in causes), reverse=True)
        assert all(weight > 0 for _, weight in causes)
        shared = values[0] + values[1]  # both features are MODEL_DEVICE_SHARED
        assert dict(causes).get("MODEL_DEVICE_SHARED", 0.0) == pytest.approx(max(shared, 0.0))


def test_contributions_add_up_to_the_log_odds(model_text: str) -> None:
    """TreeSHAP is additive: contributions and expected value sum to the model's log-odds."""
    model = load_row_model(model_text)
    for row in rows(20, seed=3).tolist():
        probability = model.probability(row)
        odds = math.log(probability / (1 - probability))
        assert sum(model.contributions(row)) == pytest.approx(odds, abs=1e-9)


def test_a_text_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """LightGBM's own complaint reaches the reader as a mismatch of the bundle."""
    with pytest.raises(BundleMismatch, match="LightGBM"):
        Scorer.load(bundle_at(tmp_path, "tree\nthis is not a model\n"), Schema())


def test_scoring_imports_neither_lightgbm_nor_scikit_learn() -> None:
    """The serving path stays light: only NumPy is imported for the model."""
    code = (
        "import sys, service.scorer, service.native_model as n; assert n.open_library();"
        "print([m for m in ('lightgbm','sklearn','scipy','pandas','polars') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
    assert open_library() is not None
