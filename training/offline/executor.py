"""What would the velocity store have answered to each event of a history?

The same declarations as in serving, computed for all events of a chunk at once. Invariant: every
value equals, bit for bit, what `VelocityStore.observe` gives when the events come one by one; how
the history is cut into chunks changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pyarrow as pa

from features.catalog import Catalog
from training.offline.chunk import Chunk, column_of
from training.offline.codes import Codes
from training.offline.declared import DeclaredSeries, feature_types, series_of
from training.offline.derived import Column, add_derived
from training.offline.keeping import kept_of
from training.offline.lookup import EMPTY, Asked, Ints, Past, arranged
from training.offline.measures.answer import Answer
from training.offline.measures.counted import count, mean, total
from training.offline.measures.distinct import distinct
from training.offline.measures.extreme import largest, smallest
from training.offline.measures.seen import first_seen, last_seen
from training.offline.verdicts import fields_named

_WINDOWED: dict[str, Callable[[Past, Asked, tuple[int, ...]], list[Answer]]] = {
    "count": count,
    "sum": total,
    "mean": mean,
    "min": smallest,
    "max": largest,
    "distinct": distinct,
}
_SEEN: dict[str, Callable[[Past, Asked, int], list[Answer]]] = {
    "first_seen": first_seen,
    "last_seen": last_seen,
}
_ARROW = {"int": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}


class Executor:
    """Computes the velocity features of a catalog, chunk after chunk, in the order of history."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._series = series_of(catalog)
        self._types = feature_types(catalog)
        self._codes: dict[str, Codes] = {}
        self._kept: dict[str, Past] = {}
        self._latest_ms = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a history (`features.history.COLUMNS`) that the features depend on."""
        names = {"observed_ms", "event.type"}
        for declared in self._series:
            plan = declared.plan
            names.update(column_of(kind) for kind in plan.entity.split("+"))
            if plan.of is not None:
                names.add(column_of(plan.of))
            if plan.outcomes is not None:
                names.add("outcome")
            for condition in declared.writers.values():
                names.update(fields_named(condition.source) if condition is not None else ())
        return tuple(sorted(names))

    def compute(self, events: pl.DataFrame, later_ms: int | None) -> pl.DataFrame:
        """Give the features of the next events of a history, a row for each, null where unknown.

        `later_ms` is the earliest time at which any event of a later chunk was observed, None when
        there is no later chunk: it tells what can be forgotten.
        """
        chunk = Chunk(events, self._codes, self._latest_ms)
        found: dict[str, Column] = {}
        for declared in self._series:
            past = self._add_series(declared, chunk, found)
            self._kept[declared.plan.name] = (
                EMPTY if later_ms is None else kept_of(declared.plan, past, later_ms)
            )
        add_derived(self._catalog, chunk, found)
        self._latest_ms = int(chunk.observed.max(initial=self._latest_ms))
        self._forget_codes()
        return self._frame(found)

    def _add_series(self, declared: DeclaredSeries, chunk: Chunk, found: dict[str, Column]) -> Past:
        plan = declared.plan
        order = chunk.by_entity(plan.entity)
        rows = order[chunk.is_type(declared.readers)[order]]
        values, is_recorded = chunk.recorded(declared, rows)
        past, asked = arranged(
            self._kept.get(plan.name, EMPTY),
            chunk.entities(plan.entity)[rows],
            chunk.observed[rows],
            values,
            is_recorded,
            in_order=chunk.in_order,
        )
        if plan.measure in _SEEN:
            answers = _SEEN[plan.measure](past, asked, plan.retention_ms)
        else:
            answers = _WINDOWED[plan.measure](past, asked, plan.windows_ms)
        for name, answer in zip(plan.features, answers, strict=True):
            column = np.zeros(len(chunk), answer.values.dtype)
            column[rows] = answer.values
            is_known = np.zeros(len(chunk), bool)
            is_known[rows] = True if answer.is_known is None else answer.is_known
            found[name] = column, is_known
        return past

    def _forget_codes(self) -> None:
        used: dict[str, list[Ints]] = {name: [EMPTY.entities] for name in self._codes}
        for declared in self._series:
            plan, past = declared.plan, self._kept[declared.plan.name]
            used[plan.entity].append(past.entities)
            if plan.measure == "distinct" and plan.of in used:
                used[plan.of].append(past.values)
        for name, codes in self._codes.items():
            codes.keep(np.concatenate(used[name]))

    def _frame(self, found: dict[str, Column]) -> pl.DataFrame:
        columns = {}
        for name, kind in self._types.items():
            values, is_known = found[name]
            columns[name] = pa.array(values, type=_ARROW[kind], mask=~is_known)
        frame = pl.from_arrow(pa.table(columns))
        assert isinstance(frame, pl.DataFrame)
        return frame
