"""Which profiles would a decision have read at each event of the past? Feast's point-in-time join.

Invariant: an event gets the latest profile of a time not after its own, never a later one; an event
without such a profile stays, with nothing known. What is joined offline is what was read online.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from features.profiles.schema import VIEWS
from features.profiles.store import Wanted
from training.profiles.history_file import read_history
from training.profiles.repo import open_store

# Feast's file store meets each event with every snapshot of its entity before it picks one.
EVENTS_AT_ONCE = 200_000
_TYPES: dict[str, type[pl.DataType]] = {
    "int": pl.Int64,
    "double": pl.Float64,
    "string": pl.String,
    "bool": pl.Boolean,
}


def join_profiles(events: pl.DataFrame, build: Path, wanted: Sequence[Wanted]) -> pl.DataFrame:
    """Return the events with a column for each profile feature, in the order they came in.

    `events` has `observed_ms` and the keyed tags as `tag.user`, `tag.device` (as history files
    have); `build` is the directory of a build, such as `VAR/profiles/current`. Null is unknown.
    """
    store = open_store(build)
    joined = events
    for name, view in VIEWS.items():
        features = [row for row in wanted if row.view == name]
        if not features:
            continue
        tag = f"tag.{view.entity}"
        fields = list(dict.fromkeys(row.field for row in features))
        # Feast drops rows that are equal in key and time, and those that no profile fits: each
        # question is asked once, and the answers are joined to the events here.
        asked = events.select(pl.col(tag).alias(view.entity), "observed_ms").unique().drop_nulls()
        answers = pl.concat(
            [
                _answers(store, name, view.entity, fields, asked.slice(start, EVENTS_AT_ONCE))
                for start in range(0, max(1, asked.height), EVENTS_AT_ONCE)
            ]
        )
        renamed = answers.select(
            pl.col(view.entity).alias(tag),
            "observed_ms",
            *(
                pl.col(row.field).cast(_TYPES[view.field(row.field).type]).alias(row.name)
                for row in features
            ),
        )
        joined = joined.join(renamed, on=[tag, "observed_ms"], how="left", maintain_order="left")
    return joined


def join_history(history: Path, build: Path, wanted: Sequence[Wanted], out: Path) -> int:
    """Write event_tag, observed_ms and the profile features of each event of a history file.

    Returns the number of events. Raises `HistoryUnusable`.
    """
    events = read_history(history, before_ms=None).select(
        "event_tag", "observed_ms", *(f"tag.{view.entity}" for view in VIEWS.values())
    )
    table = join_profiles(events, build, wanted)
    part = out.with_name(f"{out.name}.part")
    table.select("event_tag", "observed_ms", *(row.name for row in wanted)).write_parquet(part)
    part.replace(out)
    return table.height


def _answers(
    store: Any, view: str, entity: str, fields: Sequence[str], asked: pl.DataFrame
) -> pl.DataFrame:
    """Ask Feast for the fields of a view at each (entity, time)."""
    schema: dict[str, type[pl.DataType]] = {
        entity: pl.String,
        "observed_ms": pl.Int64,
        **{field: _TYPES[VIEWS[view].field(field).type] for field in fields},
    }
    if asked.is_empty():
        return pl.DataFrame(schema=schema)
    at = pl.from_epoch("observed_ms", time_unit="ms").dt.replace_time_zone("UTC")
    frame = asked.with_columns(event_timestamp=at).to_pandas()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = store.get_historical_features(
            entity_df=frame, features=[f"{view}:{field}" for field in fields]
        )
        found = job.to_df()
    return pl.DataFrame(
        {
            name: pl.Series(name, _plain(found[name]), dtype=dtype, strict=False)
            for name, dtype in schema.items()
        }
    )


def _plain(column: Any) -> list[Any]:
    """Return a pandas column as plain values, None for every kind of nothing."""
    pairs = zip(column.astype(object), column.isna(), strict=True)
    return [None if is_missing else value for value, is_missing in pairs]
