"""How does a decision table become rules?

Each row is a rule, `<table>-<row>`: its cells joined by `&&`, after the table's own `when`.
Invariant: reading never raises; a cell that means nothing is a problem at its place, and its row
makes no rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, cast

from rules.decision import MODES, STEP_UP_METHODS, Mode, Outcome
from rules.diagnostic import Diagnostic
from rules.document import Node, check_keys
from rules.example_entry import Expected, read_examples
from rules.parameters import Declared, Parameter, filled
from rules.reading import Reader
from rules.rule import Rule
from rules.rule_entry import (
    OF_CHALLENGES,
    Pack,
    Terms,
    bracketed,
    check_combination,
    check_unused,
    read_declared,
    read_id,
    read_terms,
    scoped,
)
from rules.table_cells import FORMS, Cell, CellRefused, read_cell
from rules.table_grid import ROW, Grid, read_table_grid, text_of
from rules.written import Written

TABLE_KEYS = (
    "id", "description", "owner", "event_types", "business_lines", "regions", "parameters", "when",
    "columns", "rows", "file", "hit_policy", "gaps", "outcome", "reason", "mode", "precedence",
    "step_up", "delay_seconds", "valid_from", "valid_until", "threshold", "examples",
)  # fmt: skip
REQUIRED = ("id", "description", "event_types", "threshold", "examples")
NOTHING = "none"  # the outcome of a row that asks for nothing
_OUTCOMES = (*(outcome.value for outcome in Outcome), NOTHING)


class Row(NamedTuple):
    """One row: its name and place, and what it asks of each fact of the table."""

    name: str
    node: Node
    cells: tuple[Cell | None, ...]
    used: Mapping[str, Parameter]


class Table(NamedTuple):
    """A decision table as it is checked for gaps and overlaps."""

    id: str
    node: Node
    facts: tuple[Node, ...]
    rows: tuple[Row, ...]
    is_unique: bool
    allows_gaps: bool


class _Shared(NamedTuple):
    """What the rows of one table share."""

    id: str
    part: Mapping[str, Node]
    terms: Terms
    declared: Declared
    when: Written | None
    grid: Grid
    used: Mapping[str, Parameter]  # by the table's own condition
    problems: list[Diagnostic]


def read_table(
    node: Node, pack: Pack, problems: list[Diagnostic]
) -> tuple[list[Rule], Table | None]:
    """Return a table's rules, and the table if every cell of it can be read."""
    part = check_keys(node, TABLE_KEYS, "a decision table", problems)
    if not part:
        return [], None
    before = len(problems)
    reader = Reader(part, node, problems)
    reader.need(REQUIRED, "the table")
    identifier = read_id(reader)
    terms, declared = read_terms(reader, pack), read_declared(reader, pack)
    is_unique = reader.one_of("hit_policy", ("unique", "collect"), "unique") == "unique"
    allows_gaps = reader.one_of("gaps", ("allowed", "refused"), "refused") == "allowed"
    used: dict[str, Parameter] = {}
    when = filled(part["when"], declared, used, problems) if reader.text("when", "") else None
    grid = read_table_grid(reader, pack)
    shared = _Shared(identifier, part, terms, declared, when, grid, used, problems)
    rows: list[Row] = []
    rules: list[Rule] = []
    for cells in grid.rows:
        row = _row(shared, grid.cells(cells))
        if row is not None:
            rows.append(row)
            rules += _rule(shared, row, grid.cells(cells))
    by_rows = {name: each for row in rows for name, each in row.used.items()}
    check_unused(part.get("parameters"), {**used, **by_rows}, problems)
    names = [row.name for row in rows]
    answers = (*names, "no_hit", "unknown", "error")
    expected = Expected(answers, is_combined=not is_unique)
    examples = read_examples(part.get("examples"), expected, declared, problems)
    if "examples" in part and rows and not any(e.expect.split(", ")[0] in names for e in examples):
        reader.report("examples", "no-example", "no example expects a row of the table")
    if rows and not rules and len(problems) == before:
        problems.append(node.diagnose("shape", "no row of the table has an outcome"))
    table = Table(identifier, node, grid.facts, tuple(rows), is_unique, allows_gaps)
    is_read = grid.is_whole and len(rows) == len(grid.rows)
    return [replace(rule, examples=examples) for rule in rules], table if is_read else None


def _row(shared: _Shared, cells: Mapping[str, Node]) -> Row | None:
    """Return a row with its cells, None if one of them means nothing."""
    asked: list[Cell | None] = []
    used = dict(shared.used)
    is_read = True
    for fact in shared.grid.facts:
        node = cells[fact.value]
        text = _filled(shared, node, used)
        try:
            asked.append(read_cell(text) if text is not None else None)
        except CellRefused as refusal:
            shared.problems.append(node.diagnose("bad-cell", str(refusal), FORMS))
            is_read = False
        is_read = is_read and text is not None
    return Row(text_of(cells[ROW]), cells[ROW], tuple(asked), used) if is_read else None


def _filled(shared: _Shared, node: Node, used: dict[str, Parameter]) -> str | None:
    """Return a cell's text with parameters filled in, None where that is a problem."""
    text = text_of(node)
    if "{{" not in text or not isinstance(node.value, str):
        return text
    written = filled(node, shared.declared, used, shared.problems)
    return written.text if written is not None else None


def _rule(shared: _Shared, row: Row, cells: Mapping[str, Node]) -> list[Rule]:
    """Return the rule of a row, none for a row without an outcome."""
    answers = {key: cells[key] for key in cells if text_of(cells[key]) not in ("", "-")}
    outcome_at = answers.get("outcome", shared.part.get("outcome", row.node))
    asks = text_of(outcome_at) == Outcome.CHALLENGE.value
    given = {key: node for key, node in shared.part.items() if asks or key not in OF_CHALLENGES}
    part = {**given, **answers, "id": row.node, "when": row.node}
    reader = Reader(part, row.node, shared.problems)
    outcome = reader.one_of("outcome", _OUTCOMES, "")
    if outcome == NOTHING:
        return []
    reader.need(("outcome", "reason"), f"the row '{row.name}'")
    terms = shared.terms._replace(
        reason=reader.text("reason", ""),
        mode=cast("Mode", reader.one_of("mode", MODES, "live")),
        step_up=reader.one_of("step_up", STEP_UP_METHODS, "") or None,
        delay_seconds=_delay(part.get("delay_seconds"), reader),
    )
    check_combination(reader, outcome, terms)
    if not outcome:
        return []
    written = scoped(_condition(shared, row, cells), shared.part, terms)
    rule = Rule(
        **terms._asdict(),
        id=f"{shared.id}-{row.name}",
        when=written.text,
        outcome=Outcome(outcome),
        parameters=tuple(row.used[name] for name in sorted(row.used)),
        made_by=shared.id,
        node=replace(row.node, value=part),
        written=written,
    )
    return [rule]


def _delay(node: Node | None, reader: Reader) -> int:
    """Return a delay; a CSV file writes numbers as texts."""
    if node is not None and isinstance(node.value, str) and node.value.isdecimal():
        node = replace(node, value=int(node.value))
        return Reader({"delay_seconds": node}, node, reader.problems).seconds("delay_seconds")
    return reader.seconds("delay_seconds")


def _condition(shared: _Shared, row: Row, cells: Mapping[str, Node]) -> Written:
    """Return what a row asks; the names of facts stand in the header, the rest in its cells."""
    parts = [bracketed(shared.when)] if shared.when is not None else []
    for fact, cell in zip(shared.grid.facts, row.cells, strict=True):
        if cell is None:
            continue
        name, place = Written.of(fact.value, fact), cells[fact.value]
        before, *rest = cell.cel.split("{}")
        pieces = [Written.of(before, place)] if before else []
        for text in rest:
            pieces.append(name)
            pieces += [Written.of(text, place)] if text else []
        parts.append(Written.joined(pieces))
    if not parts:
        parts = [Written.of("true", row.node)]
    joined = [parts[0]]
    for part in parts[1:]:
        joined += [Written.of(" && ", row.node), part]
    return Written.joined(joined)
