"""What does one cell of a decision table ask of a fact?

`>= 3`, `[3..5]`, `(3..5)`, `3`, `"x"`, `x`, `in a, b`, `not in a, b`, `true`; empty or `-` asks
nothing. Invariant: the CEL of a cell holds for exactly the values of its set.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from rules.parameters import literal_of
from rules.value_sets import Names, Numbers, ValueSet

Literal = int | float | bool | str

_NUMBER = r"\(?(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\)?"
_WORD = r'[^\s"<>=!,\[\]()][^"<>=!,\[\]()]*'
_LITERAL = re.compile(rf'\s*(?:{_NUMBER}(?=\s*(?:,|\Z))|("(?:[^"\\]|\\.)*")|({_WORD}))\s*')
_COMPARED = re.compile(r"(>=|<=|!=|==|=|>|<)(.*)", re.DOTALL)
_RANGE = re.compile(rf"([\[(])\s*{_NUMBER}\s*\.\.\s*{_NUMBER}\s*([\])])")
_LISTED = re.compile(r"(not\s+)?in(?:\s+(.*))?", re.DOTALL)
_BOOLS = {"true": True, "false": False}
FORMS = 'such as: >= 3, [3..5], (3..5), 3, "x", in a, b, not in a, b, true, or - for any'


class CellRefused(Exception):
    """A cell that means nothing; says why."""


class Cell(NamedTuple):
    """What a cell asks: CEL with `{}` where the fact stands, and the values that it holds for."""

    cel: str
    values: ValueSet

    @property
    def is_whole(self) -> bool | None:
        """Whether its numbers are whole ones; None if it has no numbers."""
        return self.values.is_whole if isinstance(self.values, Numbers) else None


def read_cell(text: str) -> Cell | None:
    """Return what a cell asks, None if nothing; raise `CellRefused`.

    >>> read_cell("[3..5)").cel, read_cell("not in a, b").cel
    ('{} >= 3 && {} < 5', '!({} in ["a", "b"])')
    >>> read_cell(" - ") is None
    True
    """
    text = text.strip()
    if text in ("", "-"):
        return None
    if found := _RANGE.fullmatch(text):
        return _range(*found.groups())
    if found := _COMPARED.fullmatch(text):
        return _compared("==" if found[1] == "=" else found[1], _literal(found[2]))
    if found := _LISTED.fullmatch(text):
        return _listed(_literals(found[2] or ""), is_negated=found[1] is not None)
    return _compared("==", _literal(text))


def _compared(operator: str, value: Literal) -> Cell:
    if isinstance(value, bool):
        if operator not in ("==", "!="):
            raise CellRefused("true and false have no order")
        return Cell("{}" if value is (operator == "==") else "!{}", _named([value], operator))
    if isinstance(value, str):
        if operator not in ("==", "!="):
            raise CellRefused("texts have no order here")
        return Cell(f"{{}} {operator} {_cel(value)}", _named([value], operator))
    numbers = Numbers.compared(operator, value, is_whole=isinstance(value, int))
    return Cell(f"{{}} {operator} {_cel(value)}", numbers)


def _named(values: Sequence[str | bool], operator: str) -> Names:
    names = Names.of(values)
    return names if operator == "==" else ~names


def _range(opening: str, low: str, high: str, closing: str) -> Cell:
    first, last = _number(low), _number(high)
    if type(first) is not type(last):
        raise CellRefused("both ends must be whole numbers, or both have a point")
    from_, to = ">" if opening == "(" else ">=", "<" if closing == ")" else "<="
    is_whole = isinstance(first, int)
    values = Numbers.compared(from_, first, is_whole=is_whole) & Numbers.compared(
        to, last, is_whole=is_whole
    )
    if values.is_empty:
        raise CellRefused("there is no number in this range")
    return Cell(f"{{}} {from_} {_cel(first)} && {{}} {to} {_cel(last)}", values)


def _listed(values: Sequence[Literal], *, is_negated: bool) -> Cell:
    listed = f"{{}} in [{', '.join(_cel(value) for value in values)}]"
    names = [value for value in values if isinstance(value, str)]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    found: ValueSet
    if len(names) == len(values):
        found = Names.of(names)
    elif len(numbers) == len(values) and len({type(value) for value in numbers}) == 1:
        is_whole = isinstance(numbers[0], int)
        found = Numbers((), is_whole)
        for number in numbers:
            found = found | Numbers.compared("==", number, is_whole=is_whole)
    else:
        raise CellRefused("a list holds either texts or numbers of one kind")
    return Cell(f"!({listed})", ~found) if is_negated else Cell(listed, found)


def _literals(text: str) -> list[Literal]:
    values: list[Literal] = []
    at = 0
    while True:
        found = _LITERAL.match(text, at)
        if found is None:
            raise CellRefused(f"cannot read '{text[at:].strip() or text.strip()}'")
        values.append(_value(found))
        if found.end() == len(text):
            return values
        if text[found.end()] != ",":
            raise CellRefused(f"cannot read '{text[found.end() :].strip()}'")
        at = found.end() + 1


def _literal(text: str) -> Literal:
    found = _LITERAL.fullmatch(text)
    if found is None:
        raise CellRefused(f"cannot read '{text.strip()}'")
    return _value(found)


def _value(found: re.Match[str]) -> Literal:
    number, quoted, word = found.groups()
    if number is not None:
        return _number(number)
    if quoted is not None:
        try:
            return str(json.loads(quoted))
        except ValueError:
            raise CellRefused(f"{quoted} is no text") from None
    return _BOOLS.get(word.strip(), word.strip())


def _number(text: str) -> int | float:
    if not text.lstrip("-").isdigit():
        number = float(text)
        if not math.isfinite(number):
            raise CellRefused(f"{text} is too large a number")
        return number
    if len(text) > 19:
        raise CellRefused(f"{text[:20]} is too large a number")
    return int(text)


def _cel(value: Literal) -> str:
    return literal_of(value).replace("{}", "{\\u007d")
