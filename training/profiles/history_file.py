"""How are files of past events and of labels read for profiles?

Invariant: rows are those of `features.history.COLUMNS`; a file that lacks one of the columns that
profiles need is refused, never read as if the customers had done nothing.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from training.profiles.errors import HistoryUnusable

NEEDED: dict[str, pl.DataType] = {
    "position": pl.Int64(),
    "observed_ms": pl.Int64(),
    "occurred_ms": pl.Int64(),
    "event_tag": pl.String(),
    "outcome": pl.String(),
    "tag.user": pl.String(),
    "tag.device": pl.String(),
    "tag.shipping_address": pl.String(),
    "event.type": pl.String(),
    "order.amount_base_minor": pl.Int64(),
    "login.succeeded": pl.Boolean(),
    "device.timezone_offset_minutes": pl.Int64(),
}
LABELS: dict[str, pl.DataType] = {
    "event_tag": pl.String(),
    "kind": pl.String(),
    "known_ms": pl.Int64(),
}


def read_history(path: Path, before_ms: int) -> pl.DataFrame:
    """Read what profiles need of the events observed before a time, in order.

    `path` is a Parquet file, or a directory of them. Raises `HistoryUnusable`.
    """
    events = _read(path, NEEDED).filter(pl.col("observed_ms") < before_ms)
    found = events.sort("observed_ms", "position").collect()
    if found.is_empty():
        raise HistoryUnusable(f"{path} holds no event before the time asked for")
    return found


def read_chargebacks(path: Path, before_ms: int) -> pl.DataFrame:
    """Read which events were charged back, and since when that is known: (event_tag, known_ms).

    `path` is a Parquet file with `event_tag`, `kind` and `known_ms`. Raises `HistoryUnusable`.
    """
    known = _read(path, LABELS).filter(
        (pl.col("kind") == "chargeback") & (pl.col("known_ms") < before_ms)
    )
    return known.group_by("event_tag").agg(pl.col("known_ms").min()).collect()


def _read(path: Path, columns: dict[str, pl.DataType]) -> pl.LazyFrame:
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    try:
        rows = pl.scan_parquet(files)
        names = rows.collect_schema().names()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise HistoryUnusable(f"{path} is not Parquet that can be read: {error}") from None
    missing = [name for name in columns if name not in names]
    if missing:
        raise HistoryUnusable(f"{path} has no column {', '.join(missing)}")
    return rows.select(pl.col(name).cast(kind) for name, kind in columns.items())
