"""Which cases does a table of facts hold? Parquet, one row an event.

What `touchstone features compute --facts` writes, and any other table whose columns are named as
facts are. Invariant: a value that is null, NaN or of another type than its fact is unknown, never
0; only columns that somebody asks about are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.backtest.case import Case
from service.backtest.errors import DataUnusable
from service.history.money import AMOUNTS

BATCH_ROWS = 8_192
TYPE, TIME, NAME, LABEL, SCORE = "event.type", "observed_ms", "event_tag", "label", "score"
_ARROW = {"int": pa.int64(), "double": pa.float64(), "bool": pa.bool_(), "string": pa.string()}


class FactsFile:
    """A table of facts, to be read in parts. `wanted` are the facts that matter."""

    def __init__(self, path: Path, fact_types: Mapping[str, str], wanted: Sequence[str]) -> None:
        """Open the file and look at its columns. Raises `DataUnusable`."""
        self.path = path
        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise DataUnusable(f"{path} cannot be read as Parquet: {error}") from None
        with file:
            self.rows: int = file.metadata.num_rows
            self.row_groups: int = file.metadata.num_row_groups
            columns = set(file.schema_arrow.names)
        for needed in (TYPE, TIME):
            if needed not in columns:
                raise DataUnusable(
                    f"{path} has no column `{needed}`: `touchstone features compute --facts` "
                    "writes such a table"
                )
        asked = dict.fromkeys((*wanted, *AMOUNTS))
        self._facts = {
            name: _ARROW[fact_types[name]]
            for name in asked
            if name in columns and name in fact_types and name != TYPE
        }
        self.unknown = tuple(sorted(set(wanted) - columns))
        self._beside = {
            name: kind
            for name, kind in (
                (TYPE, pa.string()),
                (TIME, pa.int64()),
                (NAME, pa.string()),
                (LABEL, pa.int64()),
                (SCORE, pa.float64()),
            )
            if name in columns
        }

    def parts(self, count: int) -> list[tuple[int, ...]]:
        """Share the row groups out, in order, about evenly."""
        bounds = [round(self.row_groups * part / count) for part in range(count + 1)]
        parts = [tuple(range(one, other)) for one, other in pairwise(bounds)]
        return [part for part in parts if part] or [()]

    def cases(self, row_groups: Sequence[int]) -> Iterator[list[Case]]:
        """Yield the cases of some row groups, in batches. Raises `DataUnusable`."""
        names = [*self._beside, *self._facts]
        kinds = {**self._beside, **self._facts}
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(
                    BATCH_ROWS, row_groups=list(row_groups), columns=names
                ):
                    yield self._cases({name: _column(batch, name, kinds[name]) for name in names})
        except (OSError, pa.ArrowException) as error:
            raise DataUnusable(f"{self.path} cannot be read: {error}") from None

    def _cases(self, columns: Mapping[str, list[Any]]) -> list[Case]:
        types, times = columns[TYPE], columns[TIME]
        nothing = [None] * len(types)
        facts = tuple(self._facts)
        rows = zip(*(columns[name] for name in facts), strict=True) if facts else [()] * len(types)
        amounts = [name for name in AMOUNTS if name in columns]
        cases = []
        for kind, at_ms, name, label, score, values in zip(
            types,
            times,
            columns.get(NAME, nothing),
            columns.get(LABEL, nothing),
            columns.get(SCORE, nothing),
            rows,
            strict=True,
        ):
            if kind is None or at_ms is None:
                raise DataUnusable(f"{self.path}: a row has no `{TYPE}` or no `{TIME}`")
            known = {
                fact: value for fact, value in zip(facts, values, strict=True) if value is not None
            }
            known[TYPE] = kind
            amount = next((known[fact] for fact in amounts if fact in known), None)
            cases.append(Case(name or "", kind, at_ms, known, score, (), amount, label))
        return cases


def _column(batch: pa.RecordBatch, name: str, kind: pa.DataType) -> list[Any]:
    column = batch.column(name)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if column.type != kind:
        column = pc.cast(column, kind)
    values: list[Any] = column.to_pylist()
    return values
