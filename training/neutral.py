"""Which value says nothing for or against a person, where the model expects one and none is known?

A model that never saw an event without a network cannot know what that means: LightGBM takes the
NaN for 0, a network of this second. So what is (nearly) always known for an event type in training
has a neutral value: the median over honest events of that type.
Invariant: training fills rows as the scorer does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from training.dataset import Table

Neutral = Mapping[str, Mapping[str, float]]

# A feature that is unknown more often has taught the model what unknown means.
SELDOM = 0.01


def neutral_of(table: Table, features: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return event type -> feature -> neutral value, of a table whose labels are all known."""
    types = np.array(table.types)
    found: dict[str, dict[str, float]] = {}
    for kind in sorted(set(table.types)):
        rows = table.rows[types == kind]
        honest = table.rows[(types == kind) & (table.labels == 0)]
        seldom = np.isnan(rows).mean(axis=0) < SELDOM
        known = seldom & ~np.isnan(honest).all(axis=0) if len(honest) else np.zeros_like(seldom)
        medians = np.nanmedian(honest[:, known], axis=0).tolist() if known.any() else []
        names = [name for name, is_known in zip(features, known, strict=True) if is_known]
        found[kind] = dict(zip(names, medians, strict=True))
    return found


def filled(table: Table, neutral: Neutral, features: Sequence[str]) -> Table:
    """Return the table with neutral values in place of those unknown ones that have one."""
    rows = table.rows.copy()
    types = np.array(table.types)
    places = {name: place for place, name in enumerate(features)}
    for kind, values in neutral.items():
        of_kind = np.flatnonzero(types == kind)
        for name, value in values.items():
            column = rows[of_kind, places[name]]
            rows[of_kind[np.isnan(column)], places[name]] = value
    return replace(table, rows=rows)
