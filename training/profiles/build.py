"""What does `touchstone profiles build` do? A history to rows of each view, a build.

Invariant: a build is written beside the others and changes nothing that decisions read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl

from features.profiles.schema import VIEWS
from training.labels import Labels
from training.profiles.history_file import chargebacks_of, read_history
from training.profiles.layout import Build, Layout, ViewCounts
from training.profiles.repo import write_config
from training.profiles.rows import profile_rows

Progress = Callable[[int], None]


def build_profiles(
    layout: Layout,
    history: Path,
    *,
    as_of: datetime,
    created: datetime,
    labels: Labels | None = None,
    progress: Progress | None = None,
) -> Build:
    """Make a build as of a time from a history file, and return it.

    Events and labels at or after `as_of` are left out, whatever the file holds.
    Raises `HistoryUnusable`.
    """
    as_of_ms = _ms(as_of)
    events = read_history(history, as_of_ms)
    chargebacks = None if labels is None else chargebacks_of(events, labels, as_of_ms)
    name = layout.new_name(as_of, created)
    directory = layout.directory(name)
    directory.mkdir(parents=True, mode=0o700)
    counts: dict[str, ViewCounts] = {}
    for done, view in enumerate(VIEWS.values(), start=1):
        rows = profile_rows(events, chargebacks, view, as_of_ms=as_of_ms, created_ms=_ms(created))
        rows.write_parquet(directory / f"{view.name}.parquet")
        profiles = rows.filter(pl.col("event_timestamp") == as_of).height
        counts[view.name] = ViewCounts(profiles=profiles, rows=rows.height)
        if progress is not None:
            progress(done)
    write_config(directory, name, None)
    build = Build(
        name=name,
        as_of_ms=as_of_ms,
        newest_ms=events.item(-1, "observed_ms"),
        created_ms=_ms(created),
        events=events.height,
        labels=None if chargebacks is None else chargebacks.height,
        views=counts,
    )
    layout.save(build, directory)
    return build


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
