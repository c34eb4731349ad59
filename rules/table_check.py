"""Does a decision table answer every case, and each once?

Each column's values fall into stretches that no cell divides; a row covers some of each. Invariant:
an overlap and a gap that are reported are there, and come with a case that shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from rules.diagnostic import Diagnostic
from rules.document import Node
from rules.table import Row, Table
from rules.value_sets import BOTTOM, TOP, Names, Numbers, ValueSet, joined, shared

MAX_GAPS = 5
# Steps of the search for gaps; a table of 1,000 rows and five columns takes about 20,000.
_MAX_STEPS = 200_000


class _Column(NamedTuple):
    """A fact: its stretches, and for each the rows that cover it, as bits."""

    fact: Node
    stretches: tuple[ValueSet, ...]
    rows: tuple[int, ...]


class _TooLarge(Exception):
    """A table whose gaps cannot be searched for in bounded time."""


def check_table(table: Table) -> Iterator[Diagnostic]:
    """Yield mixed columns, or else the overlaps and the gaps that the table does not allow."""
    mixed = list(_mixed(table))
    if mixed:
        yield from mixed
        return
    columns = [_column(fact, place, table.rows) for place, fact in enumerate(table.facts)]
    if table.is_unique:
        yield from _overlaps(table, columns)
    if table.allows_gaps:
        return
    gaps = _Gaps(columns, (1 << len(table.rows)) - 1)
    try:
        for case in gaps.search():
            message = f"no row of the table '{table.id}' is for {case}"
            hint = "add a row, with the outcome none if nothing is asked for, or 'gaps: allowed'"
            yield table.facts[0].diagnose("table-gap", message, hint)
    except _TooLarge:
        message = "the table is too large to be searched for gaps"
        yield table.facts[0].diagnose("table-gap", message).as_warning()


def _mixed(table: Table) -> Iterator[Diagnostic]:
    for place, fact in enumerate(table.facts):
        cells = [row.cells[place] for row in table.rows]
        kinds = {(type(cell.values), cell.is_whole) for cell in cells if cell is not None}
        if len(kinds) > 1:
            message = f"the cells of '{fact.value}' are not of one kind"
            hint = "write all numbers with a point, or none; a text like 7 in quotes"
            yield fact.diagnose("mixed-column", message, hint)


def _column(fact: Node, place: int, rows: Sequence[Row]) -> _Column:
    asked = [row.cells[place] for row in rows]
    sets = [cell.values for cell in asked if cell is not None]
    stretches = tuple(_stretches(sets))
    covered = tuple(
        sum(
            1 << number
            for number, cell in enumerate(asked)
            if cell is None or not shared(cell.values, stretch).is_empty
        )
        for stretch in stretches
    )
    return _Column(fact, stretches, covered)


def _stretches(sets: Sequence[ValueSet]) -> Iterator[ValueSet]:
    """Yield the stretches of a column; numbers that are all 0 or more begin at 0."""
    numbers = [values for values in sets if isinstance(values, Numbers)]
    names = {name for values in sets if isinstance(values, Names) for name in values.names}
    if numbers:
        cuts = sorted({cut for values in numbers for cut in values.inner_cuts})
        lowest = (0, 0) if cuts and cuts[0][0] >= 0 else BOTTOM
        edges = [lowest, *(cut for cut in cuts if cut != lowest), TOP]
        for low, high in pairwise(edges):
            yield Numbers((low, high), numbers[0].is_whole)
    elif names and all(isinstance(name, bool) for name in names):
        yield from (Names.of([True]), Names.of([False]))
    else:
        yield from (Names.of([name]) for name in sorted(names, key=str))
        yield ~Names.of(names)


def _overlaps(table: Table, columns: Sequence[_Column]) -> Iterator[Diagnostic]:
    covers = [
        [
            sum(1 << place for place, rows in enumerate(column.rows) if rows >> number & 1)
            for column in columns
        ]
        for number in range(len(table.rows))
    ]
    for later, row in enumerate(table.rows):
        for earlier in range(later):
            pairs = zip(covers[later], covers[earlier], strict=True)
            if all(own & other for own, other in pairs):
                case = _case(table, row, table.rows[earlier])
                message = f"the row overlaps with '{table.rows[earlier].name}': both are for {case}"
                hint = "make them exclude each other, or 'hit_policy: collect' if both may hit"
                yield row.node.diagnose("table-overlap", message, hint)
                break


def _case(table: Table, row: Row, other: Row) -> str:
    parts: list[str] = []
    for fact, one, two in zip(table.facts, row.cells, other.cells, strict=True):
        cells = [cell.values for cell in (one, two) if cell is not None]
        if cells:
            parts.append(f"{fact.value}: {shared(cells[0], cells[-1])}")
    return "; ".join(parts) or "every event"


class _Gaps:
    """The search for cases that no row covers."""

    def __init__(self, columns: Sequence[_Column], rows: int) -> None:
        self._columns = columns
        self._rows = rows
        self._covered: set[tuple[int, int]] = set()
        self._steps = 0

    def search(self) -> Iterator[str]:
        """Yield the first cases, in words; raise `_TooLarge`."""
        for number, case in enumerate(self._cases(0, self._rows)):
            if number == MAX_GAPS:
                return
            yield "; ".join(case) or "any event"

    def _cases(self, place: int, rows: int) -> Iterator[list[str]]:
        if not rows:
            yield []
            return
        if place == len(self._columns) or (place, rows) in self._covered:
            return
        column = self._columns[place]
        alike: dict[int, list[ValueSet]] = {}
        for stretch, covering in zip(column.stretches, column.rows, strict=True):
            alike.setdefault(covering & rows, []).append(stretch)
        is_covered = True
        for left, stretches in alike.items():
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise _TooLarge
            for case in self._cases(place + 1, left):
                is_covered = False
                yield (
                    [f"{column.fact.value}: {_joined(stretches)}", *case]
                    if len(alike) > 1
                    else case
                )
        if is_covered:
            self._covered.add((place, rows))


def _joined(stretches: Sequence[ValueSet]) -> ValueSet:
    whole = stretches[0]
    for other in stretches[1:]:
        whole = joined(whole, other)
    return whole
