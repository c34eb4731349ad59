"""How is a history read that may be larger than memory?

A history is a Parquet file with the columns of `features.history.COLUMNS`, in the order of
acceptance. Invariant: at any time at most one chunk of rows is in memory, and a file that is not
in order is refused before anything is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import ComputeError, PolarsError

from features.history import COLUMNS
from features.problems import did_you_mean
from training.offline.errors import HistoryUnusable

POLARS_TYPES: dict[str, type[pl.DataType]] = {
    "int": pl.Int64,
    "double": pl.Float64,
    "bool": pl.Boolean,
    "string": pl.String,
}
SCHEMA: dict[str, type[pl.DataType]] = {name: POLARS_TYPES[kind] for name, kind in COLUMNS.items()}


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """A history of `rows` rows. `later_ms[i]` is the earliest time observed after chunk `i`."""

    path: Path
    rows: int
    chunk_rows: int
    later_ms: tuple[int | None, ...]

    def chunk(self, number: int, columns: Sequence[str]) -> pl.DataFrame:
        """Read some columns of one chunk."""
        rows = pl.scan_parquet(self.path).slice(number * self.chunk_rows, self.chunk_rows)
        return rows.select(pl.col(name).cast(SCHEMA[name]) for name in columns).collect()

    def names_any(self, event_tags: pl.Series) -> bool:
        """Say whether any of some events is in the history."""
        wanted = event_tags.unique().to_frame("event_tag").lazy()
        found = pl.scan_parquet(self.path).select("event_tag").join(wanted, "event_tag", how="semi")
        return found.head(1).collect().height > 0


def open_history(path: Path, chunk_rows: int) -> HistoryFile:
    """Look a history over: columns, order, and the times that tell what can be forgotten.

    Raises `HistoryUnusable`.
    """
    try:
        scan = pl.scan_parquet(path)
        found = dict(scan.collect_schema())
        rows = int(scan.select(pl.len()).collect().item())
    except (OSError, PolarsError) as error:
        raise HistoryUnusable(f"{path} cannot be read as Parquet: {_first_line(error)}") from None
    problems = [_missing(name, found) for name in SCHEMA if name not in found]
    problems += [
        f"column `{name}` holds {found[name]}, not {SCHEMA[name].__name__}"
        for name in SCHEMA
        if name in found and not _fits(found[name], SCHEMA[name])
    ]
    if problems:
        raise HistoryUnusable(
            f"{path} is no history:\n"
            + "\n".join(f"- {problem}" for problem in problems)
            + "\nMake one with `touchstone features extract` from the ledger, or give raw events "
            "with --events."
        )
    return HistoryFile(path, rows, chunk_rows, _later(scan, path, rows, chunk_rows))


def _later(scan: pl.LazyFrame, path: Path, rows: int, chunk_rows: int) -> tuple[int | None, ...]:
    earliest: list[int] = []
    last_position: int | None = None
    for start in range(0, rows, chunk_rows):
        try:
            times = (
                scan.select("position", "observed_ms", "event.type")
                .slice(start, chunk_rows)
                .collect()
            )
        except ComputeError as error:
            raise HistoryUnusable(f"{path} cannot be read: {_first_line(error)}") from None
        for name in times.columns:
            missing = times[name].is_null().arg_max() if times[name].null_count() else None
            if missing is not None:
                raise HistoryUnusable(f"{path}, row {start + missing + 1}: `{name}` is empty")
        back = times["position"].diff().fill_null(1) <= 0
        if last_position is not None and int(times["position"][0]) <= last_position:
            back[0] = True
        if (row := back.arg_max()) is not None and back[row]:
            raise HistoryUnusable(
                f"{path}, row {start + row + 1}: `position` must be larger than in the row before; "
                "sort the file by `position`"
            )
        last_position = int(times["position"][-1])
        earliest.append(int(times["observed_ms"].min()))  # type: ignore[arg-type]
    later: list[int | None] = []
    least: int | None = None
    for chunk in reversed(earliest):
        later.append(least)
        least = chunk if least is None else min(chunk, least)
    return tuple(reversed(later))


def _missing(name: str, found: dict[str, pl.DataType]) -> str:
    return f"column `{name}` is missing.{did_you_mean(name, [n for n in found if n not in SCHEMA])}"


def _fits(found: pl.DataType, wanted: type[pl.DataType]) -> bool:
    if found == pl.Null:  # a column that no row fills may have no type
        return True
    if wanted is pl.Int64:
        return found.is_integer()
    if wanted is pl.String:
        return found in (pl.String, pl.Categorical)
    return found == wanted


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
