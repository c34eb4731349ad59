"""How good are these scores?

The figures of scikit-learn, imported when they are asked for, as that takes a second. All take
labels (0 or 1) and scores of equal length; where a class is absent the figure does not exist and
NaN is returned.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def auc(labels: Vector, scores: Vector) -> float:
    """Return the area under the ROC curve: how often a bad event scores above a good one.

    >>> auc(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores)) if _has_both(labels) else math.nan


def average_precision(labels: Vector, scores: Vector) -> float:
    """Return the area under the precision-recall curve as a step function.

    >>> round(average_precision(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores)) if labels.any() else math.nan


def recall_at_fpr(labels: Vector, scores: Vector, rate: float = 0.01) -> float:
    """Return the largest share of bad events caught by a threshold with at most `rate` of the
    good ones above it; a group of equal scores is caught whole or not at all.

    >>> recall_at_fpr(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.5
    """
    from sklearn.metrics import roc_curve

    if not _has_both(labels):
        return math.nan
    false_alarms, caught, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(caught[false_alarms <= rate].max())


def brier(labels: Vector, scores: Vector) -> float:
    """Return the mean squared distance between probability and truth."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(labels, scores, pos_label=1)) if len(labels) else math.nan


def summary(labels: Vector, scores: Vector) -> dict[str, float | int | None]:
    """Return all figures, ready for JSON: None where one does not exist."""
    figures = {
        "auc": auc(labels, scores),
        "pr_auc": average_precision(labels, scores),
        "brier": brier(labels, scores),
        "recall_at_1pct_fpr": recall_at_fpr(labels, scores),
    }
    shown: dict[str, float | int | None] = {
        name: None if math.isnan(value) else round(value, 6) for name, value in figures.items()
    }
    return shown | {"events": len(labels), "abusive": int(labels.sum())}


def _has_both(labels: Vector) -> bool:
    return bool(0 < labels.sum() < len(labels))
