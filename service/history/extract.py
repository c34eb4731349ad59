"""How does the ledger become a file for training? Parquet, one row an event, `history.COLUMNS`.

Row group by row group, so memory does not grow with history. Invariant: a file that has its name
is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from features.history import COLUMNS, HistoryEvent
from service.history.reader import LedgerHistory, Span

ROW_GROUP = 50_000
_PARTIAL = ".partial"


class ExtractError(Exception):
    """The file cannot be written; the text says why."""

    code = "extract_failed"


async def extract(
    history: LedgerHistory, span: Span, path: Path, read: Callable[[int, int], None]
) -> int:
    """Write the events of a span; return how many. `read` is told events and entries on the way.

    Raises `ExtractError`, `WrongKek` and what asyncpg raises.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"int": pa.int64(), "double": pa.float64(), "bool": pa.bool_(), "string": pa.string()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    total, done = await history.count(span), 0
    partial = path.with_name(path.name + _PARTIAL)
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            rows: list[HistoryEvent] = []

            def write() -> None:
                columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
                for event in rows:
                    for name, value in event.row().items():
                        columns[name].append(value)
                writer.write_table(pa.table(columns, schema=schema))
                rows.clear()

            async for page in history.pages(span):
                rows += page.events
                done += len(page.events)
                read(done, total)
                if len(rows) >= ROW_GROUP:
                    write()
            if rows:
                write()
        partial.replace(path)
    except (OSError, pa.ArrowException) as error:
        raise ExtractError(f"cannot write {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return done
