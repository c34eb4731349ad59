"""The figures, ties included, where classes are absent, and as JSON."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.metrics import auc, brier, recall_at_fpr, summary


@pytest.mark.parametrize("digits", [1, 2, 8])
def test_recall_is_that_of_the_best_threshold(digits: int) -> None:
    """Few digits make many ties; trying every threshold finds the same."""
    generator = np.random.default_rng(digits)
    labels = (generator.random(2000) < 0.1).astype(float)
    scores = np.round(generator.random(2000) * 0.7 + labels * 0.3, digits)
    bad, good = scores[labels == 1], scores[labels == 0]
    best = max(
        (bad >= at).mean() for at in [*np.unique(scores), 2.0] if (good >= at).mean() <= 0.05
    )
    assert recall_at_fpr(labels, scores, 0.05) == pytest.approx(best)


def test_brier_needs_no_second_class() -> None:
    """A distance to the truth exists where nothing bad happened."""
    assert brier(np.zeros(2), np.array([0.1, 0.3])) == pytest.approx(0.05)
    assert math.isnan(brier(np.zeros(0), np.zeros(0)))


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
