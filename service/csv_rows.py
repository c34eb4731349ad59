"""What does a CSV that somebody sends say?

UTF-8, comma or semicolon, a header. Invariant: a problem names line and column and never repeats
what is in a cell; nothing is used of a file that has any.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator

from features.problems import did_you_mean, is_showable_name
from service.errors import Refused

MAX_IMPORT_BYTES = 16 * 1024 * 1024
MAX_ROWS = 100_000
# More do not help anybody to correct a file.
MAX_PROBLEMS = 20

Problems = list[dict[str, str]]


class RowsInvalid(Refused):
    """Rows that were sent cannot be used: not one of them was."""

    code = "rows_invalid"


class TooManyRows(Refused):
    """More rows than one import may have."""

    code = "too_many_rows"


def problem(line: int | None, column: str, detail: str) -> dict[str, str]:
    """Return one entry of `problems`; the header is line 1."""
    where = "header" if line is None else f"line {line}"
    return {"pointer": f"{where}: {column}", "code": "invalid_value", "detail": detail}


def refuse_rows(problems: Problems) -> None:
    """Raise `RowsInvalid` when there is any problem, with the first of them."""
    if problems:
        more = len(problems) - MAX_PROBLEMS
        said = f"{len(problems)} problem(s); nothing was changed."
        detail = f"{said} The first {MAX_PROBLEMS} are listed." if more > 0 else said
        raise RowsInvalid(detail, problems[:MAX_PROBLEMS])


def csv_rows(
    body: bytes, columns: Collection[str], one_of: Collection[tuple[str, ...]]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and the cells that are not empty of each row, as they stand.

    Of each group in `one_of` the header has at least one column. Raises `RowsInvalid` and
    `TooManyRows`.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RowsInvalid("The file is not UTF-8: save it as `CSV UTF-8`.") from None
    first = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ","
    )
    try:
        header = [name.strip() for name in next(reader, [])]
        refuse_rows(_header_problems(header, columns, one_of))
        for count, cells in enumerate(reader, 1):
            if count > MAX_ROWS:
                raise TooManyRows
            if any(cells):
                if len(cells) != len(header):
                    said = f"{len(cells)} cells where the header has {len(header)}."
                    refuse_rows([problem(reader.line_num, "*", said)])
                named = zip(header, cells, strict=True)
                yield reader.line_num, {name: cell for name, cell in named if cell}
    except csv.Error:
        raise RowsInvalid(f"Line {reader.line_num} is no CSV.") from None


def _header_problems(
    header: list[str], columns: Collection[str], one_of: Collection[tuple[str, ...]]
) -> Problems:
    problems = []
    for name in header:
        if name in columns:
            continue
        # Only what is nearly a column is shown: any other word may be somebody's data.
        if is_showable_name(name) and (hint := did_you_mean(name, columns)):
            problems.append(problem(None, name, f"This column means nothing here.{hint}"))
        else:
            problems.append(problem(None, "*", f"The columns are {', '.join(columns)}."))
    problems += [
        problem(None, name, "This column is there twice.")
        for name in columns
        if header.count(name) > 1
    ]
    problems += [
        problem(
            None, names[0], f"The column {' or '.join(f'`{name}`' for name in names)} is missing."
        )
        for names in one_of
        if not any(name in header for name in names)
    ]
    return problems
