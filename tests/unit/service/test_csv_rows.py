"""A CSV as people's programs write it: every kind is read, every problem is placed."""

from __future__ import annotations

import pytest

from service import csv_rows
from service.csv_rows import RowsInvalid, TooManyRows, refuse_rows

COLUMNS, NEEDED = ("kind", "value", "tag", "reason"), [("value", "tag"), ("reason",)]


def rows(text: str | bytes) -> list[tuple[int, dict[str, str]]]:
    body = text if isinstance(text, bytes) else text.encode()
    return list(csv_rows.csv_rows(body, COLUMNS, NEEDED))


@pytest.mark.parametrize(
    "text",
    [
        "value,reason\na,x\nb,y\n",
        "value,reason\r\na,x\r\nb,y",
        "\ufeffvalue;reason\r\na;x\r\nb;y\r\n",
        ' value , reason \n"a","x"\n\nb,y\n',
        "reason,tag,value\nx,,a\ny,,b\n",
    ],
)
def test_what_spreadsheets_write_is_read(text: str) -> None:
    """Commas or semicolons, either end of line, a byte order mark, quotes, empty lines."""
    assert [cells for _, cells in rows(text)] == [
        {"value": "a", "reason": "x"},
        {"value": "b", "reason": "y"},
    ]


def test_lines_are_those_of_the_file() -> None:
    """A cell may have several lines; the number is that of the row's last one."""
    found = rows('value,reason\n"a\nb",x\nc,y\n')
    assert [line for line, _ in found] == [3, 4]


@pytest.mark.parametrize(
    ("text", "pointer", "detail"),
    [
        ("valeu,reason\na,x\n", "header: valeu", "Did you mean `value`?"),
        ("value\na\n", "header: reason", "`reason` is missing"),
        ("reason\nx\n", "header: value", "`value` or `tag` is missing"),
        ("value,reason,value\na,x,b\n", "header: value", "there twice"),
        ("13800138000,reason\na,x\n", "header: *", "The columns are"),
        ("", "header: value", "is missing"),
        ("value,reason\na,x\nb\n", "line 3: *", "1 cells where the header has 2"),
    ],
)
def test_each_problem_has_its_place(text: str, pointer: str, detail: str) -> None:
    """The header is line 1; a name that may be personal data is not repeated."""
    with pytest.raises(RowsInvalid) as refused:
        rows(text)
    assert refused.value.problems is not None
    found = {entry["pointer"]: entry["detail"] for entry in refused.value.problems}
    assert detail in found[pointer]
    assert "138" not in str(refused.value.problems)


def test_what_is_no_csv_is_said() -> None:
    """Another encoding, and a cell without end."""
    with pytest.raises(RowsInvalid, match="CSV UTF-8"):
        rows("value,reason\n退货,x\n".encode("gb18030"))
    with pytest.raises(RowsInvalid, match="no CSV"):
        rows("value,reason\n" + "x" * 200_000)


def test_rows_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than the bound, and none is used."""
    monkeypatch.setattr(csv_rows, "MAX_ROWS", 2)
    assert len(rows("value,reason\na,x\nb,y\n")) == 2
    with pytest.raises(TooManyRows):
        rows("value,reason\na,x\nb,y\nc,z\n")


def test_a_thousand_problems_are_counted_and_twenty_listed() -> None:
    """Nobody reads more; the number says how bad it is."""
    refuse_rows([])
    problems = [csv_rows.problem(line, "value", "Bad.") for line in range(2, 1002)]
    with pytest.raises(RowsInvalid, match="1000 problem") as refused:
        refuse_rows(problems)
    assert refused.value.problems == problems[:20]
