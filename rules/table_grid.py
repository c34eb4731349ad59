"""Which cells does a decision table have?

From a YAML grid (`columns` and `rows`) or from a CSV file. Invariant: reading never raises; the
rows that come back have as many cells as the table has columns, one of them the row's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from rules.csv_grid import read_grid
from rules.diagnostic import Diagnostic, did_you_mean
from rules.document import Node
from rules.limits import MAX_TABLE_COLUMNS, MAX_TABLE_ROWS
from rules.reading import Reader
from rules.rule_entry import Pack

ROW = "row"
# Columns that are no facts: what a row answers. The table's own keys stand in for empty cells.
ANSWERS = ("outcome", "reason", "step_up", "delay_seconds", "mode")
_ROW_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class Grid(NamedTuple):
    """The columns' names, and the rows that can be read; `is_whole` if these are all."""

    columns: tuple[Node, ...]
    rows: tuple[tuple[Node, ...], ...]
    is_whole: bool

    @property
    def facts(self) -> tuple[Node, ...]:
        """The columns that ask something of a fact."""
        return tuple(name for name in self.columns if name.value not in (ROW, *ANSWERS))

    def cells(self, row: tuple[Node, ...]) -> dict[str, Node]:
        """Return a row's cells by the names of their columns."""
        return {str(name.value): cell for name, cell in zip(self.columns, row, strict=True)}


_NOTHING = Grid((), (), is_whole=False)


def read_table_grid(reader: Reader, pack: Pack) -> Grid:
    """Return the grid of a table, from its file or from its own keys."""
    listed = _from_file(reader, pack) if "file" in reader.part else _from_keys(reader)
    if len(listed) < 2:
        return _NOTHING
    columns, rows = listed[0], listed[1:]
    if len(rows) > MAX_TABLE_ROWS or len(columns) > MAX_TABLE_COLUMNS:
        message = f"a table has {MAX_TABLE_ROWS} rows and {MAX_TABLE_COLUMNS} columns at most"
        reader.report("id", "too-many", message)
        return _NOTHING
    before = len(reader.problems)
    reader.problems += _wrong_columns(columns)
    if len(reader.problems) > before:
        return _NOTHING
    place = [name.value for name in columns].index(ROW)
    reader.problems += _wrong_rows(len(columns), place, rows)
    kept = tuple(tuple(row) for row in rows if len(row) == len(columns))
    return Grid(tuple(columns), kept, is_whole=len(reader.problems) == before)


def text_of(cell: Node) -> str:
    """Return a cell as its author wrote it: `3.50` is not 3.5; an empty text for null."""
    if isinstance(cell.value, str):
        return cell.value
    return "" if cell.value is None or isinstance(cell.value, list | dict) else cell.source


def _from_file(reader: Reader, pack: Pack) -> list[list[Node]]:
    for key in ("columns", "rows"):
        if key in reader.part:
            reader.report(key, "shape", f"the file has the {key}")
    name = reader.text("file", "")
    if not name:
        return []
    if name not in pack.tables:
        hint = did_you_mean(name, pack.tables) or "tables stand in tables/NAME.csv"
        reader.report("file", "no-file", f"there is no table '{name}'", hint)
        return []
    rows, problems = read_grid(name, pack.tables[name])
    reader.problems += problems
    if not problems and len(rows) < 2:
        reader.report("file", "shape", f"the table '{name}' has no rows")
    return [] if problems else rows


def _from_keys(reader: Reader) -> list[list[Node]]:
    reader.need(("columns", "rows"), "the table (or a 'file')")
    found: list[list[Node]] = []
    for key in ("columns", "rows"):
        node = reader.part.get(key)
        if node is None:
            return []
        if not isinstance(node.value, list) or not node.value:
            reader.report(key, "shape", f"'{key}' must be a list that is not empty")
            return []
        for listed in [node] if key == "columns" else node.value:
            if isinstance(listed.value, list):
                found.append(listed.value)
            else:
                message = "a row must be a list of cells"
                reader.problems.append(listed.diagnose("shape", message))
                return []
    return found


def _wrong_columns(columns: list[Node]) -> Iterable[Diagnostic]:
    seen: set[str] = set()
    for name in columns:
        if not isinstance(name.value, str) or not name.value:
            yield name.diagnose("shape", "a column has the name of a fact or of what rows answer")
        elif name.value in seen:
            yield name.diagnose("duplicate-key", f"there are two columns '{name.value}'")
        else:
            seen.add(name.value)
    if ROW not in seen:
        hint = "add a column 'row' with a name for each row, which lives for ever"
        yield columns[0].diagnose("shape", "the table has no column 'row'", hint)
    elif not seen.difference((ROW, *ANSWERS)):
        yield columns[0].diagnose("shape", "no column of the table is a fact")


def _wrong_rows(width: int, place: int, rows: list[list[Node]]) -> Iterable[Diagnostic]:
    first: dict[str, Node] = {}
    for row in rows:
        if len(row) != width:
            message = f"the row has {len(row)} cells, the table {width} columns"
            yield row[0].diagnose("shape", message) if row else _empty_row(rows)
            continue
        for cell in row:
            if isinstance(cell.value, list | dict):
                yield cell.diagnose("shape", "a cell is one value", "put quotes around a range")
        name = text_of(row[place])
        if not _ROW_NAME.match(name):
            message = f"the row's name '{name}' is not kebab-case"
            yield row[place].diagnose("bad-id", message, "such as 'gold-abroad'")
        elif name in first:
            message = f"the row '{name}' is there already, on line {first[name].line}"
            yield row[place].diagnose("duplicate-id", message)
        else:
            first[name] = row[place]


def _empty_row(rows: list[list[Node]]) -> Diagnostic:
    place = next(row[0] for row in rows if row)
    return place.diagnose("shape", "a row of the table is empty")
