"""How is a file read that says something about events, such as their labels?

Parquet, CSV or JSON lines; each row names its event by `event_id` or `event_tag`. Invariant: a
problem names the file and the row, and never repeats what is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from features.tags import Tagger

SHOWN = 20


class SideFileUnusable(Exception):
    """A file about events cannot be used; the text lists what is wrong, a line each."""

    code = "side_file_unusable"


def read_table(path: Path, error: type[SideFileUnusable]) -> pl.DataFrame:
    """Read a table; cells of a CSV stay texts, empty ones are null."""
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith(".csv"):
            return pl.read_csv(path, infer_schema=False)
        if name.endswith((".jsonl", ".ndjson")):
            return pl.read_ndjson(path, infer_schema_length=None)
        if name.endswith(".parquet"):
            return pl.read_parquet(path)
    except (OSError, PolarsError) as reason:
        text = str(reason).splitlines()[0] if str(reason) else type(reason).__name__
        raise error(f"{path} cannot be read: {text}") from None
    raise error(f"{path} is of no kind that can be read; name it .csv, .jsonl or .parquet")


def tagged(
    table: pl.DataFrame, path: Path, tagger: Tagger, error: type[SideFileUnusable]
) -> pl.DataFrame:
    """Give the table with `event_tag`, made of `event_id` where it is not there."""
    names = [name for name in ("event_tag", "event_id") if name in table.columns]
    if not names:
        raise error(f"{path} must say which event a row is about: `event_id` or `event_tag`")
    key = table[names[0]].cast(pl.String)
    refuse(path, [f"row {row + 1}: `{names[0]}` is empty" for row in empty(key)], error)
    if names[0] == "event_id":
        key = pl.Series([tagger.tag("event", value) for value in key], dtype=pl.String)
    return table.drop(names).with_columns(key.alias("event_tag"))


def times_ms(table: pl.DataFrame, name: str) -> tuple[pl.Series, pl.Series]:
    """Give a column of times as Unix milliseconds (null where empty), and which of them are none.

    Texts are RFC 3339; a time without a zone is none.
    """
    missing = pl.Series([None], dtype=pl.Int64).new_from_index(0, table.height)
    if name not in table.columns:
        return missing, missing.is_not_null()
    column = table[name]
    if column.dtype == pl.String:
        has_zone = column.str.contains(r"\d[Tt ]\d\d:\d\d.*([Zz]|[+-]\d\d:?\d\d)$")
        texts = column.str.to_uppercase().str.replace(r"([+-]\d\d):?(\d\d)$", "$1$2")
        texts = texts.str.replace("Z$", "+0000").str.replace(" ", "T")
        moments = pl.select(
            pl.coalesce(
                texts.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
                for form in ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z")
            )
        ).to_series()
        column_ms = pl.select(pl.when(has_zone).then(_rounded(moments))).to_series()
    elif isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        column_ms = _rounded(column)
    else:
        column_ms = missing
    return column_ms, column.is_not_null() & column_ms.is_null()


def _rounded(moments: pl.Series) -> pl.Series:
    """Give whole milliseconds, to the nearest, as times of events are kept."""
    return (moments.dt.epoch("us") + 500) // 1000


def empty(column: pl.Series) -> list[int]:
    """Give the places of cells that say nothing."""
    return (column.is_null() | (column == "").fill_null(value=False)).arg_true().to_list()


def refuse(path: Path, problems: Sequence[str], error: type[SideFileUnusable]) -> None:
    """Raise when there is any problem, naming the first of them."""
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems[:SHOWN])
        more = f"\n- and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise error(f"{path} has {len(problems)} problem(s):\n{listed}{more}")
