"""How is one feature distributed over a data set, as numbers?

Per group (an event type, honest or abusive): how often it is unknown, its quantiles, and counts in
bins that all groups share. Invariant: every known value is in exactly one bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
MAX_BARS = 24  # up to this many different values, each has a bar of its own
BINS = 40
HEAVY_TAIL = 50  # the largest value is this many times the upper quartile: bins grow with the value


@dataclass(frozen=True, slots=True)
class Group:
    """One part of the data set.

    - `rows`: events; `unknown`: those without a value.
    - `counts`: known values by bin; `quantiles`: at `QUANTILES`, empty when nothing is known.
    """

    name: str
    rows: int
    unknown: int
    mean: float | None
    quantiles: tuple[float, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One feature over all groups.

    - `edges`: bin i is [edges[i], edges[i + 1]), the last one with its upper edge; None when every
      bin is one value of `values`.
    - `is_growing`: whether bins get wider with the value, for a heavy tail.
    """

    feature: str
    values: tuple[float, ...] | None
    edges: Numbers | None
    is_growing: bool
    groups: tuple[Group, ...]


def distribution_of(feature: str, columns: Mapping[str, Numbers]) -> Distribution:
    """Summarise one feature; `columns` maps a group to its values, NaN where unknown.

    Raises ValueError when there is no group.
    """
    if not columns:
        raise ValueError("no group to look at")
    known = {name: column[~np.isnan(column)] for name, column in columns.items()}
    every = np.concatenate(list(known.values()))
    distinct = np.unique(every)
    values: tuple[float, ...] | None = None
    edges: Numbers | None = None
    is_growing = False
    if len(distinct) <= MAX_BARS:
        values = tuple(distinct.tolist())
    else:
        is_growing = _has_heavy_tail(every)
        edges = _edges(every, is_growing)
    groups = tuple(
        Group(
            name,
            len(column),
            len(column) - len(known[name]),
            float(known[name].mean()) if len(known[name]) else None,
            tuple(np.quantile(known[name], QUANTILES).tolist()) if len(known[name]) else (),
            _counts(known[name], distinct if edges is None else edges, edges is None),
        )
        for name, column in columns.items()
    )
    return Distribution(feature, values, edges, is_growing, groups)


def _has_heavy_tail(every: Numbers) -> bool:
    upper = float(np.quantile(every, 0.75))
    return float(every.min()) >= 0 and float(every.max()) > HEAVY_TAIL * max(upper, 1.0)


def _edges(every: Numbers, is_growing: bool) -> Numbers:
    low, high = float(every.min()), float(every.max())
    if not is_growing and bool((every == np.floor(every)).all()):
        step = np.ceil((high - low + 1) / BINS)  # a bin holds as many whole numbers as the next
        return np.arange(low, high + 2 * step, step)
    if not is_growing:
        return np.linspace(low, high, BINS + 1)
    grown = np.expm1(np.linspace(np.log1p(low), np.log1p(high), BINS + 1))
    grown[0], grown[-1] = low, high  # rounding must not leave the extremes outside
    return grown


def _counts(known: Numbers, places: Numbers, is_each_value: bool) -> NDArray[np.int64]:
    if is_each_value:
        counts = np.zeros(len(places), dtype=np.int64)
        np.add.at(counts, np.searchsorted(places, known), 1)
        return counts
    return np.histogram(known, bins=places)[0].astype(np.int64)
