"""How good are these scores?

Rank metrics with ties counted as they should be, in NumPy. All take labels (0 or 1) and scores of
equal length; where a class is absent the figure does not exist and NaN is returned.
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
    bad = float(labels.sum())
    good = len(labels) - bad
    if not bad or not good:
        return math.nan
    _, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[where]  # mean rank among ties, from 1
    return float((ranks[labels == 1].sum() - bad * (bad + 1) / 2) / (bad * good))


def average_precision(labels: Vector, scores: Vector) -> float:
    """Return the area under the precision-recall curve as a step function.

    >>> round(average_precision(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    if not labels.sum():
        return math.nan
    caught, false_alarms = _cumulative(labels, scores)
    precision = caught / (caught + false_alarms)
    gained = np.diff(caught, prepend=0.0)
    return float((precision * gained).sum() / labels.sum())


def recall_at_fpr(labels: Vector, scores: Vector, rate: float = 0.01) -> float:
    """Return the largest share of bad events caught by a threshold with at most `rate` of the
    good ones above it; a group of equal scores is caught whole or not at all.

    >>> recall_at_fpr(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.5
    """
    bad = float(labels.sum())
    good = len(labels) - bad
    if not bad or not good:
        return math.nan
    caught, false_alarms = _cumulative(labels, scores)
    allowed = false_alarms <= rate * good
    return float(caught[allowed].max(initial=0.0) / bad)


def brier(labels: Vector, scores: Vector) -> float:
    """Return the mean squared distance between probability and truth."""
    return float(np.mean((scores - labels) ** 2)) if len(labels) else math.nan


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


def _cumulative(labels: Vector, scores: Vector) -> tuple[Vector, Vector]:
    """Return bad and good events at or above each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    caught = np.cumsum(labels[order])[ends]
    return caught, (ends + 1) - caught
