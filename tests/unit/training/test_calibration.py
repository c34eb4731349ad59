"""The calibration table is short, monotone, and close to the truth on scores that lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scorer import interpolate
from training.calibration import fit_calibration
from training.metrics import Vector


def test_recovers_a_known_distortion() -> None:
    """Scores that are the square root of the truth are squared again."""
    generator = np.random.default_rng(1)
    truth = generator.random(40_000)
    labels = (generator.random(40_000) < truth).astype(float)
    table = fit_calibration(labels, np.sqrt(truth))
    for at in (0.3, 0.5, 0.7, 0.9):
        assert interpolate(table.x, table.y, at) == pytest.approx(at**2, abs=0.03)


def test_the_mean_is_the_truth() -> None:
    """Over all events the probabilities add up to the bad ones; fewer points change little."""
    generator = np.random.default_rng(2)
    scores = generator.random(3000)
    labels = (generator.random(3000) < scores**3).astype(float)
    for points in (8, 64, 10_000_000):
        table = fit_calibration(labels, scores, points)
        calibrated = [interpolate(table.x, table.y, score) for score in scores]
        assert np.mean(calibrated) == pytest.approx(labels.mean(), abs=0.02)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=300),
    st.integers(1, 64),
)
def test_every_table_is_valid(events: list[tuple[bool, float]], points: int) -> None:
    """Whatever the scores, the table passes the checks of the bundle and is never certain."""
    labels: Vector = np.array([float(bad) for bad, _ in events])
    table = fit_calibration(labels, np.array([score for _, score in events]), points)
    assert len(table.x) <= max(points, 2)
    if 0 < labels.sum() < len(labels):
        assert 0 < table.y[0] <= table.y[-1] < 1


def test_identity_without_both_classes() -> None:
    """Where there is nothing to learn from, scores stay as they are."""
    table = fit_calibration(np.zeros(5), np.linspace(0, 1, 5))
    assert (table.x, table.y) == ((0.0, 1.0), (0.0, 1.0))
