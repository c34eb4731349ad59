"""What does a chunk of history say, as columns of numbers?

Each column is made when it is first asked for and shared by all series. Invariant: order within an
entity is the order of the chunk.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from features.catalog import SeriesPlan
from features.fields import FIELD_TYPES
from training.offline.codes import NONE, Codes
from training.offline.declared import DeclaredSeries
from training.offline.lookup import Bools, Ints
from training.offline.verdicts import passed


def column_of(what: str) -> str:
    """Name the column of a history that holds a field, or the tag of a kind of entity."""
    return what if what in FIELD_TYPES else f"tag.{what}"


class Chunk:
    """Some events of a history. `codes` are kept from chunk to chunk by their caller.

    `in_order` says that no event was observed before an earlier one; `latest_ms` is the time of
    the latest event of earlier chunks.
    """

    def __init__(self, events: pl.DataFrame, codes: dict[str, Codes], latest_ms: int) -> None:
        self._events = events
        self._codes = codes
        self.observed: Ints = events["observed_ms"].cast(pl.Int64).to_numpy()
        self.in_order = bool(np.all(np.diff(self.observed, prepend=np.int64(latest_ms)) >= 0))
        self._types: dict[str, Bools] = {}
        self._coded: dict[str, Ints] = {}
        self._orders: dict[str, Ints] = {}

    def __len__(self) -> int:
        return self._events.height

    def is_type(self, names: Iterable[str]) -> Bools:
        """Say which events are of one of some types."""
        chosen = np.zeros(len(self), bool)
        for name in names:
            if name not in self._types:
                self._types[name] = (self._events["event.type"] == name).to_numpy()
            chosen |= self._types[name]
        return chosen

    def entities(self, kind: str) -> Ints:
        """Give the code of each event's entity of a kind or a pair of kinds, `NONE` for none."""
        tags = [column_of(part) for part in kind.split("+")]
        if len(tags) == 1:
            return self._encoded(kind, self._events[tags[0]])
        if kind not in self._coded:
            self._encoded(kind, self._events.select(pl.concat_str(tags, separator="."))[tags[0]])
        return self._coded[kind]

    def by_entity(self, kind: str) -> Ints:
        """Give the places of the events that name an entity, by entity and then in order."""
        if kind not in self._orders:
            codes = self.entities(kind)
            order = np.argsort(codes, kind="stable")
            self._orders[kind] = order[np.searchsorted(codes[order], NONE, side="right") :]
        return self._orders[kind]

    def recorded(self, declared: DeclaredSeries, rows: Ints) -> tuple[Ints, Bools]:
        """Give what some events leave in a series, and which of them leave something."""
        plan = declared.plan
        values, is_recorded = self._measured(plan)
        is_written = np.zeros(len(self), bool)
        for name, condition in declared.writers.items():
            of_type = np.flatnonzero(self.is_type((name,)))
            if condition is not None:
                of_type = of_type[passed(condition, self._events[of_type])]
            is_written[of_type] = True
        is_recorded &= is_written
        if plan.outcomes is not None:
            outcome = self._events["outcome"].is_in(sorted(plan.outcomes))
            is_recorded &= outcome.fill_null(value=False).to_numpy()
        return values[rows], is_recorded[rows]

    def _measured(self, plan: SeriesPlan) -> tuple[Ints, Bools]:
        if plan.of is None:  # `seen` takes -1 for the record's own time; counts look at no value
            return np.full(len(self), -1, np.int64), np.ones(len(self), bool)
        column = self._events[column_of(plan.of)]
        if column.dtype == pl.String:
            codes = self._encoded(plan.of, column)
            return codes, codes != NONE
        values = column.cast(pl.Int64)
        return values.fill_null(0).to_numpy(), values.is_not_null().to_numpy()

    def _encoded(self, name: str, column: pl.Series) -> Ints:
        if name not in self._coded:
            self._coded[name] = self._codes.setdefault(name, Codes()).encode(column)
        return self._coded[name]
