"""Which numbers and words of a rule can be tuned without touching its expression?

A parameter is declared beside the rule (or for a whole pack) with a type and bounds, and stands as
`{{ name }}` in expressions. Invariant: a value that is not of the type and within the bounds is
never filled in, and what is filled in is one literal of CEL, whatever the value says.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rules.cel_names import literal_spans, position
from rules.diagnostic import Diagnostic, did_you_mean
from rules.document import Node, check_keys
from rules.limits import MAX_LITERAL_CHARACTERS, MAX_PARAMETERS_OF_RULE
from rules.reading import Reader
from rules.written import Piece, Written

TYPES: dict[str, type] = {"int": int, "double": float, "bool": bool, "string": str}
KEYS = ("type", "value", "min", "max", "one_of", "description")
PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]*)\s*\}\}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}

Value = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that may be tuned, its type and what it may be."""

    name: str
    type: str
    value: Value
    minimum: float | None = None
    maximum: float | None = None
    one_of: tuple[Value, ...] = ()
    description: str = ""
    node: Node | None = field(default=None, compare=False, repr=False)

    def content(self) -> list[Any]:
        """Return what the version of a rule set is computed over."""
        choices = list(self.one_of)
        return [self.type, self.value, self.minimum, self.maximum, choices, self.description]

    @property
    def bounds(self) -> str:
        """What the value may be, in words.

        >>> Parameter("n", "int", 3, 1, 9).bounds
        'from 1 to 9'
        """
        if self.one_of:
            return (
                f"one of {', '.join(json.dumps(each, ensure_ascii=False) for each in self.one_of)}"
            )
        if self.type == "bool":
            return "true or false"
        return f"from {self.minimum} to {self.maximum}"

    def refusal_of(self, value: object) -> str:
        """Say why this parameter cannot have a value; an empty text if it can.

        >>> Parameter("n", "int", 3, 1, 9).refusal_of(10)
        'must be from 1 to 9'
        >>> Parameter("n", "int", 3, 1, 9).refusal_of(2)
        ''
        """
        if not _is_of(value, self.type):
            return f"must be {self.kind_in_words}"
        if isinstance(value, str) and len(value) > MAX_LITERAL_CHARACTERS:
            return f"must have {MAX_LITERAL_CHARACTERS} characters at most"
        if isinstance(value, str) and _CONTROL.search(value):
            return "must have no control characters"
        if self.one_of and value not in self.one_of:
            return f"must be {self.bounds}"
        if self.minimum is not None and isinstance(value, int | float) and value < self.minimum:
            return f"must be {self.bounds}"
        if self.maximum is not None and isinstance(value, int | float) and value > self.maximum:
            return f"must be {self.bounds}"
        return ""

    @property
    def kind_in_words(self) -> str:
        """Which kind of value it takes: `a whole number`."""
        return _WORDS[TYPES[self.type]]

    @property
    def literal(self) -> str:
        """The value as CEL writes it.

        >>> Parameter("n", "double", 3.0).literal, Parameter("n", "int", -3).literal
        ('3.0', '(-3)')
        >>> Parameter("s", "string", 'a"b').literal
        '"a\\\\"b"'
        """
        return literal_of(self.value)


def literal_of(value: Value) -> str:
    """Return a value as CEL writes it; negative numbers stand in brackets."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    text = repr(value)
    return f"({text})" if text.startswith("-") else text


def quoted(text: str) -> str:
    """Return a text as CEL and YAML write it; what could end it or break the line is escaped."""
    plain = json.dumps(text, ensure_ascii=False)
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda m: f"\\u{ord(m[0]):04x}", plain)


def _is_of(value: object, kind: str) -> bool:
    if kind == "double":
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]  # a number here
    if kind == "int":
        return type(value) is int and -(2**63) <= value < 2**63
    return type(value) is TYPES[kind]


# What is declared: the parameter, or None for one that is declared wrongly.
Declared = Mapping[str, Parameter | None]


def read_parameters(node: Node | None, problems: list[Diagnostic]) -> dict[str, Parameter | None]:
    """Return the parameters that a `parameters:` declares."""
    found: dict[str, Parameter | None] = {}
    if node is None:
        return found
    if not isinstance(node.value, dict):
        message = "parameters must be a mapping of names to type, value and bounds"
        problems.append(node.diagnose("shape", message))
        return found
    if len(node.value) > MAX_PARAMETERS_OF_RULE:
        message = f"more than {MAX_PARAMETERS_OF_RULE} parameters, here {len(node.value)}"
        problems.append(node.diagnose("too-many", message))
        return found
    for name, part in node.value.items():
        if not _NAME.match(name):
            message = f"the parameter's name '{name}' is not snake_case"
            problems.append((node.keys or {})[name].diagnose("bad-parameter", message))
            continue
        found[name] = _read_one(name, part, problems)
    return found


def _read_one(name: str, node: Node, problems: list[Diagnostic]) -> Parameter | None:
    part = check_keys(node, KEYS, f"the parameter '{name}'", problems)
    if not part:
        return None
    reader = Reader(part, node, problems)
    kind = reader.one_of("type", tuple(TYPES), "")
    missing = [key for key in ("type", "value") if key not in part]
    problems += [
        node.diagnose("missing-key", f"the parameter '{name}' has no '{key}'") for key in missing
    ]
    if not kind or missing:
        return None
    before = len(problems)
    minimum, maximum = (_bound(part, key, kind, problems) for key in ("min", "max"))
    choices = _choices(part.get("one_of"), kind, problems)
    if minimum is not None and maximum is not None and maximum < minimum:
        problems.append(part["max"].diagnose("bad-parameter", "'max' is less than 'min'"))
    if len(problems) == before and not _is_bounded(kind, minimum, maximum, choices):
        needed = "one_of" if kind == "string" else "min and max, or one_of"
        message = f"the parameter '{name}' has no bounds"
        problems.append(node.diagnose("no-bounds", message, f"give {needed}"))
    value = _typed(part["value"].value, kind)
    parameter = Parameter(
        name, kind, value, minimum, maximum, choices, reader.text("description", ""), node
    )
    refusal = parameter.refusal_of(value)
    if refusal and len(problems) == before:
        problems.append(part["value"].diagnose("bad-parameter", f"the value {refusal}"))
    return parameter if len(problems) == before else None


def _is_bounded(
    kind: str, minimum: float | None, maximum: float | None, choices: Sequence[Value]
) -> bool:
    if kind == "bool" or choices:
        return True
    return kind != "string" and minimum is not None and maximum is not None


def _typed(value: Any, kind: str) -> Any:
    return float(value) if kind == "double" and type(value) is int else value


def _bound(
    part: Mapping[str, Node], key: str, kind: str, problems: list[Diagnostic]
) -> float | None:
    node = part.get(key)
    if node is None:
        return None
    if kind not in ("int", "double"):
        problems.append(node.diagnose("bad-parameter", f"'{key}' belongs to numbers only"))
        return None
    if not _is_of(node.value, kind):
        problems.append(node.diagnose("bad-parameter", f"'{key}' must be {_WORDS[TYPES[kind]]}"))
        return None
    bound: float = _typed(node.value, kind)
    return bound


def _choices(node: Node | None, kind: str, problems: list[Diagnostic]) -> tuple[Value, ...]:
    if node is None:
        return ()
    items = node.value if isinstance(node.value, list) else []
    if not items or not all(_is_of(item.value, kind) for item in items):
        message = f"'one_of' must be a list, each of it {_WORDS[TYPES[kind]]}"
        problems.append(node.diagnose("bad-parameter", message))
        return ()
    return tuple(_typed(item.value, kind) for item in items)


def filled(
    node: Node, declared: Declared, used: dict[str, Parameter], problems: list[Diagnostic]
) -> Written | None:
    """Return a node's text with its parameters filled in; note in `used` which.

    None where a parameter is not declared, or wrongly. A placeholder within a text or a comment of
    the expression is none, and a problem where it looks like one.
    """
    text = str(node.value)
    protected = list(literal_spans(text))
    pieces: list[Piece] = []
    last = 0
    is_complete = True
    for found in PLACEHOLDER.finditer(text):
        name, at = found.group(1), found.start()
        if any(start <= at < end for start, end in protected):
            if name in declared:
                message = f"'{found.group()}' within a text or a comment is not filled in"
                hint = "a parameter of type string brings its own quotes"
                problems.append(_at(node, at, "bad-placeholder", message, hint))
            continue
        if name not in declared:
            hint = did_you_mean(name, declared) or "declare it under 'parameters'"
            problems.append(_at(node, at, "no-parameter", f"there is no parameter '{name}'", hint))
        parameter = declared.get(name)
        if parameter is None:
            is_complete = False
            continue
        used[name] = parameter
        pieces.append(Piece(text[last:at], node, last))
        pieces.append(Piece(parameter.literal, node, at, is_copied=False))
        last = found.end()
    pieces.append(Piece(text[last:], node, last))
    return Written(tuple(piece for piece in pieces if piece.text)) if is_complete else None


def _at(node: Node, at: int, code: str, message: str, hint: str) -> Diagnostic:
    return node.file.diagnose(*node.place_of(*position(str(node.value), at)), code, message, hint)
