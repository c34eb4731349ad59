"""Which cells does a CSV file have, and where do they stand?

RFC 4180 (quotes doubled within quotes), a comma between cells; lines that are empty or begin with
`#` are passed over. Invariant: reading never raises, and every cell knows its place.
"""

from __future__ import annotations

import re

from rules.diagnostic import Diagnostic
from rules.document import File, Node

_CELL = re.compile(r'[ \t]*(?:"((?:[^"]|"")*)"[ \t]*|((?:[^",\r\n][^,\r\n]*)?))(,|\r\n|\n|\r|\Z)')
_SKIPPED = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r))+|[ \t]*(?:#[^\r\n]*)?\Z")


def read_grid(name: str, text: str) -> tuple[list[list[Node]], list[Diagnostic]]:
    """Return the rows of cells, each a text, and what is wrong with the file.

    >>> rows, problems = read_grid("a.csv", 'row, age\\n# a comment\\nold,"a, ""b"" c"\\n')
    >>> [[(cell.value, cell.line, cell.column) for cell in row] for row in rows]
    [[('row', 1, 1), ('age', 1, 6)], [('old', 3, 1), ('a, "b" c', 3, 5)]]
    """
    file = File(name, text)
    rows: list[list[Node]] = []
    row: list[Node] = []
    at = 1 if text.startswith("\ufeff") else 0
    line, line_start = 1, at
    while at < len(text) or row:
        skipped = _SKIPPED.match(text, at) if not row else None
        if skipped is not None and skipped.end() > at:
            line += _breaks(skipped.group())
            at = line_start = skipped.end()
            continue
        found = _CELL.match(text, at)
        if found is None:
            message = "a quote is not closed, or something stands behind it"
            hint = "quotes within a cell are doubled"
            return rows, [file.diagnose(line, at - line_start + 1, "csv", message, hint)]
        row.append(_cell(file, found, line, line_start))
        line += _breaks(found.group())
        at = found.end()
        if found.group(3) != ",":
            rows.append(row)
            row, line_start = [], at
    return rows, []


def _cell(file: File, found: re.Match[str], line: int, line_start: int) -> Node:
    quoted, plain = found.group(1), found.group(2)
    value = plain.strip() if quoted is None else quoted.replace('""', '"')
    start = found.start(2) if quoted is None else found.start(1) - 1
    end = start + len(value) if quoted is None else found.end(1) + 1
    return Node(file, value, line, start - line_start + 1, start, end)


def _breaks(text: str) -> int:
    return len(re.findall(r"\r\n|\n|\r", text))
