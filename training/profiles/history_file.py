"""How are past events, and what became known of them, read for profiles?

Invariant: rows are those of `features.history.COLUMNS`; a file that lacks one of the columns that
profiles need is refused, never read as if the customers had done nothing.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from training.labels import Labels
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
CHARGEBACK = "chargeback"
"""The source of labels (`label_delays.yaml`) that counts as one."""


def read_history(path: Path, before_ms: int | None) -> pl.DataFrame:
    """Read what profiles need of the events observed before a time (None: of all), in order.

    `path` is a Parquet file, or a directory of them. Raises `HistoryUnusable`.
    """
    events = _read(path, NEEDED)
    if before_ms is not None:
        events = events.filter(pl.col("observed_ms") < before_ms)
    found = events.sort("observed_ms", "position").collect()
    if found.is_empty():
        raise HistoryUnusable(f"{path} holds no event before the time asked for")
    return found


def chargebacks_of(events: pl.DataFrame, labels: Labels, before_ms: int) -> pl.DataFrame:
    """Return which events were charged back, and since when that was known: (event_tag, known_ms).

    `events` as `read_history` gives them. Without a time of its own a label counts from the
    declared delay of its source; one that was not known before `before_ms` is left out.
    """
    delay_ms = labels.delays_ms[CHARGEBACK]
    abusive = labels.rows.filter((pl.col("source") == CHARGEBACK) & (pl.col("label") == 1))
    known = events.select("event_tag", "observed_ms").join(abusive, on="event_tag")
    return (
        known.group_by("event_tag")
        .agg(known_ms=pl.coalesce("known_ms", pl.col("observed_ms") + delay_ms).min())
        .filter(pl.col("known_ms") < before_ms)
    )


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
