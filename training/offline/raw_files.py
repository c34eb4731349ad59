"""Which event bodies does a file hold, and where in it?

JSON lines (`.jsonl`, `.ndjson`), CSV with dotted columns, and Parquet with nested or dotted
columns; the first two may be gzipped. Invariant: bodies come in file order, with the place that a
person finds them at, and are not judged here: `parse_event` does that.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from training.offline.errors import EventsUnusable
from training.offline.raw_columns import nested, unknown_columns

BATCH_ROWS = 2_000
KINDS = "`.jsonl`, `.ndjson`, `.csv` (all three also with `.gz`) or `.parquet`"


class Body(NamedTuple):
    """One body: its line in a text file or its row in a table, counted from 1, and its content.

    `cells` is a row that is not yet JSON; exactly one of `raw` and `cells` is there.
    """

    place: int
    raw: bytes | None
    cells: Mapping[str, Any] | None

    def json(self) -> bytes:
        """Give the body as the API would get it."""
        return orjson.dumps(self.cells) if self.raw is None else self.raw


def bodies_in(path: Path) -> Iterator[list[Body]]:
    """Yield a file's bodies in batches. Raises `EventsUnusable` for what concerns all of it."""
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith((".jsonl", ".ndjson")):
            yield from _batches(_of_lines(path))
        elif name.endswith(".csv"):
            yield from _batches(_of_csv(path))
        elif path.suffix == ".parquet":
            yield from _batches(_of_parquet(path))
        else:
            raise EventsUnusable(f"{path} is of no kind that can be read; name it {KINDS}")
    except (OSError, EOFError) as error:  # a file cut short is an EOFError to gzip
        reason = getattr(error, "strerror", None) or error
        raise EventsUnusable(f"{path} cannot be read: {reason}") from None
    except UnicodeDecodeError as error:
        raise EventsUnusable(f"{path} is not UTF-8: {error.reason}; save it as UTF-8") from None
    except csv.Error as error:
        raise EventsUnusable(f"{path} is not CSV that can be read: {error}") from None
    except pa.ArrowException as error:
        raise EventsUnusable(f"{path} cannot be read as Parquet: {error}") from None


def place_of(path: Path, place: int) -> str:
    """Say where a body stands.

    >>> place_of(Path("events.parquet"), 3), place_of(Path("events.csv.gz"), 3)
    ('events.parquet, row 3', 'events.csv.gz, line 3')
    """
    return f"{path}, {'row' if path.suffix == '.parquet' else 'line'} {place}"


def _of_lines(path: Path) -> Iterator[Body]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if text := line.strip():
                yield Body(number, text, None)


def _of_csv(path: Path) -> Iterator[Body]:
    with _opened(path) as stream:
        rows = csv.DictReader(stream, restkey="", strict=True)
        columns = list(rows.fieldnames or ())
        _check_columns(path, columns)
        line = 1
        for row in rows:
            if "" in row or None in row.values():
                raise EventsUnusable(
                    f"{place_of(path, line + 1)}: not as many cells as the {len(columns)} columns; "
                    "quote cells that hold a comma"
                )
            yield Body(line + 1, None, nested(row))
            line = rows.line_num


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _of_parquet(path: Path) -> Iterator[Body]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        is_dotted = any("." in name for name in names)
        if is_dotted:
            _check_columns(path, names)
        row = 0
        for batch in file.iter_batches(BATCH_ROWS):
            for cells in batch.to_pylist():
                row += 1
                body = nested(cells) if is_dotted else _stated(cells)
                yield Body(row, None, _timed(body))


def _check_columns(path: Path, columns: list[str]) -> None:
    problems = unknown_columns(columns)
    problems += [f"column `{name}` comes twice" for name in columns if columns.count(name) > 1]
    if problems:
        listed = "\n".join(f"- {problem}" for problem in dict.fromkeys(problems))
        raise EventsUnusable(
            f"{path} is no table of events:\n{listed}\nRename or drop the columns."
        )


def _stated(value: Any) -> Any:
    """Leave out what a struct does not state: in Parquet every row has every field."""
    if isinstance(value, dict):
        kept = {name: _stated(one) for name, one in value.items() if one is not None}
        return {name: one for name, one in kept.items() if one != {}}
    return [_stated(one) for one in value] if isinstance(value, list) else value


def _timed(body: Any) -> Any:
    """Write times as the API takes them; one without a zone stays so, and is refused."""
    if isinstance(body, dict):
        return {name: _timed(one) for name, one in body.items()}
    return body.isoformat() if isinstance(body, datetime) else body


def _batches(bodies: Iterator[Body]) -> Iterator[list[Body]]:
    batch: list[Body] = []
    for body in bodies:
        batch.append(body)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
