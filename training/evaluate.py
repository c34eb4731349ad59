"""What does a figure on `fraud-ecommerce` mean? Three splits by time, each judged by event type.

`burst` trains on the first days of the January attack and is judged on the rest of it; `steady`
is February and later, 80 / 20; `drift` trains on January and is judged on all that follows. A
steady or drift AUC above about .65 on this file means leakage, not skill.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.dataset import Table
from training.metrics import auc, recall_at_fpr
from training.neutral import filled, neutral_of
from training.train import grow, raw_scores

_BURST_TRAINS_UNTIL = datetime(2015, 1, 7, tzinfo=UTC)
_BURST_ENDS = datetime(2015, 2, 1, tzinfo=UTC)
_STEADY_SHARE = 0.8


class Judged(NamedTuple):
    """One figure: what was trained on how much, and how well it ranked one event type."""

    split: str
    type: str
    trained_on: int
    events: int
    abusive: int
    auc: float
    recall_at_1pct_fpr: float


def judge_fraud_ecommerce(
    table: Table, features: tuple[str, ...], seed: int = 1
) -> Iterator[Judged]:
    """Train once for each split on sign-ups and purchases; yield the figures of each type."""
    types = np.array(table.types)
    for name, (train, test) in _splits(table).items():
        neutral = neutral_of(table.part(train), features)
        part = filled(table.part(train), neutral, features)
        model = grow(part, features, seed)
        for kind in ("signup", "checkout"):
            judged = filled(table.part(test & (types == kind)), neutral, features)
            scores = raw_scores(model, judged.rows)
            yield Judged(
                name,
                kind,
                len(part),
                len(judged),
                int(judged.labels.sum()),
                auc(judged.labels, scores),
                recall_at_fpr(judged.labels, scores),
            )


def _splits(table: Table) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    times = table.times_ms
    first, second = (int(at.timestamp() * 1000) for at in (_BURST_TRAINS_UNTIL, _BURST_ENDS))
    later = times >= second
    cut = np.quantile(times[later], _STEADY_SHARE)
    return {
        "burst": (times < first, (first <= times) & (times < second)),
        "steady": (later & (times < cut), times >= cut),
        "drift": (times < second, later),
    }
