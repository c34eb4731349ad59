"""How does a history file become a file of features?

Chunk by chunk, in order. Invariant: memory holds one chunk and what is still inside the retention
of some series; the output has a row for each row of the input, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from features.catalog import Catalog
from features.fields import FIELD_TYPES
from training.offline.declared import feature_types
from training.offline.errors import HistoryUnusable
from training.offline.executor import Executor
from training.offline.history_file import HistoryFile
from training.offline.point_in_time import PointInTime

# 250,000 rows x 75 features take about 0.5 GB while they are computed.
CHUNK_ROWS = 250_000
IDENTITY = ("event_tag", "observed_ms", "event.type")

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Computed:
    """What was written."""

    rows: int
    features: int


def compute_features(
    history: HistoryFile,
    out: Path,
    catalog: Catalog,
    *,
    with_fields: bool = False,
    until_ms: int | None = None,
    beside: PointInTime | None = None,
    progress: Progress | None = None,
) -> Computed:
    """Write the features of each event of a history to a Parquet file.

    Columns: event_tag, observed_ms, event.type, the features, with `with_fields` what the event
    states. Events observed at `until_ms` or later do not exist. `beside` adds
    labels and own features, and may refuse them. A file that could not be finished is removed.
    """
    executor = Executor(catalog)
    extra = [name for name in FIELD_TYPES if name not in IDENTITY] if with_fields else []
    columns = tuple(dict.fromkeys((*executor.columns, *IDENTITY, *extra)))
    part = out.with_name(out.name + ".part")
    written = 0
    writer: pq.ParquetWriter | None = None
    try:
        for number, later_ms in enumerate(history.later_ms):
            events = history.chunk(number, columns)
            if until_ms is not None:
                events = events.filter(pl.col("observed_ms") < until_ms)
            features = executor.compute(events, later_ms)
            frame = pl.concat([events.select(*IDENTITY, *extra), features], how="horizontal")
            if beside is not None:
                frame = beside.add(frame)
            table = frame.to_arrow()
            if writer is None:
                writer = pq.ParquetWriter(part, table.schema, compression="zstd")
            writer.write_table(table)
            written += frame.height
            if progress is not None:
                progress(min((number + 1) * history.chunk_rows, history.rows))
        if writer is None or not written:
            before = "" if until_ms is None else " before the time asked for"
            raise HistoryUnusable(f"{history.path} holds no events{before}")
        if beside is not None:
            beside.close()
        writer.close()
        part.replace(out)
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)
    return Computed(written, len(feature_types(catalog)))
