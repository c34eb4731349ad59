"""How does a raw model probability become one that means what it says?

Isotonic regression (scikit-learn's), reduced to a short table whose points are joined by lines.
Invariant: x increases strictly, y does not decrease and is never 0 or 1, as no finite sample shows
that something cannot happen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.bundle import MAX_CALIBRATION_POINTS, Calibration
from training.metrics import Vector

# Scores closer than this are one: far above the rounding of a mean of many of them.
_DIGITS = 9


class _Blocks(NamedTuple):
    """Neighbouring events with one probability: mean score, probability, how many."""

    x: Vector
    y: Vector
    weight: Vector


def fit_calibration(
    labels: Vector, scores: Vector, points: int = MAX_CALIBRATION_POINTS
) -> Calibration:
    """Fit the table to raw scores and their labels.

    Without events of both classes there is nothing to fit, and the table is the identity.
    """
    rate = float(labels.mean()) if len(labels) else 0.0
    if not 0 < rate < 1:
        return Calibration(x=(0.0, 1.0), y=(0.0, 1.0))
    events = _Blocks(np.round(scores, _DIGITS), labels, np.ones(len(labels)))
    x, y, weight = _shorten(_isotonic(events), points)
    # One event of the overall rate in each block keeps small blocks from claiming certainty;
    # that may bend the order of neighbours, so it is fitted again.
    smoothed = _isotonic(_Blocks(x, (y * weight + rate) / (weight + 1), weight + 1))
    return Calibration(x=tuple(smoothed.x.tolist()), y=tuple(smoothed.y.tolist()))


def _isotonic(blocks: _Blocks) -> _Blocks:
    """Join neighbours until y increases with x."""
    from sklearn.isotonic import IsotonicRegression

    x, y, weight = blocks
    fitted = IsotonicRegression(out_of_bounds="clip").fit_transform(x, y, sample_weight=weight)
    levels, where = np.unique(fitted, return_inverse=True)
    joined: Vector = np.bincount(where, weights=weight).astype(np.float64)
    return _Blocks(np.bincount(where, weights=x * weight) / joined, levels, joined)


def _shorten(blocks: _Blocks, points: int) -> _Blocks:
    """Join the neighbours whose joining costs least squared error until `points` are left."""
    x, y, weight = blocks
    while len(x) > points:
        both = weight[:-1] + weight[1:]
        at = int(np.argmin(np.diff(y) ** 2 * weight[:-1] * weight[1:] / both))
        for values in (x, y):
            values[at] = np.average(values[at : at + 2], weights=weight[at : at + 2])
        weight[at] = both[at]
        x, y, weight = (np.delete(values, at + 1) for values in (x, y, weight))
    return _Blocks(x, y, weight)
