"""The metrics equal those of scikit-learn, ties included."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.metrics import auc, average_precision, brier, recall_at_fpr, summary


@pytest.mark.parametrize("digits", [1, 2, 8])
def test_equal_to_scikit_learn(digits: int) -> None:
    """Few digits make many ties; all figures agree."""
    reference = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(digits)
    labels = (generator.random(2000) < 0.1).astype(float)
    scores = np.round(generator.random(2000) * 0.7 + labels * 0.3, digits)
    assert auc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores))
    assert average_precision(labels, scores) == pytest.approx(
        reference.average_precision_score(labels, scores)
    )
    assert brier(labels, scores) == pytest.approx(reference.brier_score_loss(labels, scores))
    fpr, tpr, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    assert recall_at_fpr(labels, scores, 0.05) == pytest.approx(tpr[fpr <= 0.05].max())


def test_absent_classes_have_no_figures() -> None:
    """Ranking needs both classes; JSON gets None, not NaN."""
    labels, scores = np.zeros(4), np.linspace(0, 1, 4)
    assert math.isnan(auc(labels, scores))
    assert math.isnan(recall_at_fpr(labels, scores))
    assert summary(labels, scores)["auc"] is None
    assert summary(labels, scores)["abusive"] == 0


def test_equal_scores_are_caught_together() -> None:
    """A model that gives everybody one score catches nobody at one per cent."""
    labels = np.array([0.0] * 99 + [1.0])
    assert recall_at_fpr(labels, np.full(100, 0.5)) == 0.0
    assert auc(labels, np.full(100, 0.5)) == 0.5
