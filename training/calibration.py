"""How does a raw model probability become one that means what it says?

Isotonic regression by pooling adjacent violators (Ayer et al. 1955), reduced to a short table
whose points are joined by lines. Invariant: x increases strictly, y does not decrease and is never
0 or 1, as no finite sample shows that something cannot happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from service.bundle import MAX_CALIBRATION_POINTS, Calibration
from training.metrics import Vector


@dataclass(slots=True)
class _Block:
    """Neighbouring events with one probability: how many, their labels' and scores' sums."""

    weight: float
    bad: float
    x_sum: float

    @property
    def y(self) -> float:
        return self.bad / self.weight

    def joined(self, other: _Block) -> _Block:
        return _Block(self.weight + other.weight, self.bad + other.bad, self.x_sum + other.x_sum)


def fit_calibration(
    labels: Vector, scores: Vector, points: int = MAX_CALIBRATION_POINTS
) -> Calibration:
    """Fit the table to raw scores and their labels.

    Without events of both classes there is nothing to fit, and the table is the identity.
    """
    bad = float(labels.sum())
    if not 0 < bad < len(labels):
        return Calibration(x=(0.0, 1.0), y=(0.0, 1.0))
    blocks = _shorten(_pool(_ties(labels, scores)), points)
    rate = bad / len(labels)
    # One event of the overall rate in each block keeps small blocks from claiming certainty;
    # that may bend the order of neighbours, which is pooled away again.
    smoothed = _pool(
        [_Block(b.weight + 1, b.bad + rate, b.x_sum / b.weight * (b.weight + 1)) for b in blocks]
    )
    return Calibration(
        x=tuple(block.x_sum / block.weight for block in smoothed),
        y=tuple(block.y for block in smoothed),
    )


def _ties(labels: Vector, scores: Vector) -> list[_Block]:
    values, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    bad = np.bincount(where, weights=labels)
    return [
        _Block(float(count), float(positive), float(value * count))
        for value, count, positive in zip(values, counts, bad, strict=True)
    ]


def _pool(blocks: list[_Block]) -> list[_Block]:
    pooled: list[_Block] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and pooled[-2].y >= pooled[-1].y:
            last = pooled.pop()
            pooled[-1] = pooled[-1].joined(last)
    return pooled


def _shorten(blocks: list[_Block], points: int) -> list[_Block]:
    """Join the neighbours whose joining costs least squared error until `points` are left."""
    while len(blocks) > points:
        costs = [
            (a.y - b.y) ** 2 * a.weight * b.weight / (a.weight + b.weight)
            for a, b in pairwise(blocks)
        ]
        at = min(range(len(costs)), key=costs.__getitem__)
        blocks[at : at + 2] = [blocks[at].joined(blocks[at + 1])]
    return blocks
