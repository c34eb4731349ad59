"""How does one entry of `examples` become facts and what is expected of them?

A fact may be stated relative to a parameter, `"{{ name }}"` or `"{{ name - 1 }}"`: an example at a
boundary moves with it. Invariant: an example's facts are plain values: one that says
`{{ name }}` and one that says what `name` is are equal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from rules.cel_names import position
from rules.diagnostic import Diagnostic, did_you_mean
from rules.document import Node, check_keys
from rules.parameters import PLACEHOLDER, Declared, Parameter, Value
from rules.reading import Reader
from rules.rule import Example

EXAMPLE_KEYS = ("facts", "expect", "note")
FORMS = 'write "{{ name }}", "{{ name - 1 }}" or "{{ name + 0.05 }}", in quotes'
# Eighteen digits: what is added fits 64 bits.
_RELATIVE = re.compile(
    r"\s*\{\{\s*(?P<name>[A-Za-z0-9_]+)\s*"
    r"(?:(?P<sign>[+-])\s*(?P<number>[0-9]{1,18}(?:\.[0-9]{1,18})?)\s*)?\}\}\s*\Z"
)


class Expected(NamedTuple):
    """What examples may expect: one of the answers, or several of them (`first, second`)."""

    answers: tuple[str, ...]
    is_combined: bool = False


def read_examples(
    node: Node | None, expected: Expected, declared: Declared, problems: list[Diagnostic]
) -> tuple[Example, ...]:
    """Return examples, their facts filled in with the parameters that are declared.

    One with a fact that cannot be filled in comes back without it, as not `is_whole`.
    """
    if node is None:
        return ()
    if not isinstance(node.value, list):
        problems.append(node.diagnose("shape", "examples must be a list"))
        return ()
    found = (_read_one(item, expected, declared, problems) for item in node.value)
    return tuple(example for example in found if example is not None)


def _read_one(
    item: Node, expected: Expected, declared: Declared, problems: list[Diagnostic]
) -> Example | None:
    part = check_keys(item, EXAMPLE_KEYS, "an example", problems)
    if not part:
        return None
    reader = Reader(part, item, problems)
    answers = expected.answers
    words = reader.text("expect", "").split(", ") if expected.is_combined else []
    is_known = words != [""] and words and set(words).issubset(answers)
    expect = ", ".join(words) if is_known else reader.one_of("expect", answers, "")
    if "expect" not in part:
        problems.append(item.diagnose("missing-key", "the example has no 'expect'"))
    facts = part.get("facts")
    if facts is not None and not isinstance(facts.value, dict):
        problems.append(facts.diagnose("shape", "facts must be a mapping of names to values"))
        return None
    if not expect:
        return None
    stated: Mapping[str, Node] = facts.value if facts is not None else {}
    values = {name: _value(place, declared, problems) for name, place in stated.items()}
    plain = {name: value for name, value in values.items() if value is not _UNREADABLE}
    is_whole = len(plain) == len(values)
    return Example(plain, expect, reader.text("note", ""), item, is_whole=is_whole)


_UNREADABLE: Any = object()


def _value(node: Node, declared: Declared, problems: list[Diagnostic]) -> Any:
    """Return a fact's value, `_UNREADABLE` if it names a parameter in a way that means nothing."""
    if isinstance(node.value, dict) and _is_unquoted(node):
        problems.append(
            node.diagnose("bad-placeholder", "a parameter stands in quotes here", FORMS)
        )
        return _UNREADABLE
    text = node.value
    if not isinstance(text, str) or not _means_parameter(text, declared):
        return node.plain()
    asked = _RELATIVE.match(text)
    if asked is None:
        message = f"'{text.strip()}' is no parameter with a number added or taken away"
        problems.append(node.diagnose("bad-placeholder", message, FORMS))
        return _UNREADABLE
    name = asked["name"]
    if name not in declared:
        hint = did_you_mean(name, declared) or "declare it under 'parameters'"
        place = node.place_of(*position(text, asked.start("name")))
        message = f"there is no parameter '{name}'"
        problems.append(node.file.diagnose(*place, "no-parameter", message, hint))
    parameter = declared.get(name)
    if parameter is None:
        return _UNREADABLE
    if not asked["number"]:
        return parameter.value
    moved = moved_by(parameter, asked["sign"] + asked["number"])
    if isinstance(moved, str):
        place = node.place_of(*position(text, asked.start("sign")))
        problems.append(node.file.diagnose(*place, "bad-placeholder", moved))
        return _UNREADABLE
    return moved


def moved_by(parameter: Parameter, step: str) -> int | float | str:
    """Return a parameter's value and a step together, or why that is none.

    Decimal, as people add: 0.1 and 0.2 make 0.3.

    >>> moved_by(Parameter("n", "int", 12), "-1"), moved_by(Parameter("s", "double", 0.1), "+0.2")
    (11, 0.3)
    >>> moved_by(Parameter("n", "int", 12), "+0.5")
    "'n' is a whole number, +0.5 is none"
    """
    value: Value = parameter.value
    if isinstance(value, bool | str):
        return f"nothing can be added to '{parameter.name}', which is {parameter.kind_in_words}"
    if isinstance(value, float):
        moved = float(Decimal(repr(value)) + Decimal(step))
        return moved if math.isfinite(moved) else f"'{parameter.name}' {step} is too large"
    if "." in step:
        return f"'{parameter.name}' is a whole number, {step} is none"
    whole = value + int(step)
    return whole if -(2**63) <= whole < 2**63 else f"'{parameter.name}' {step} is too large"


def _means_parameter(text: str, declared: Declared) -> bool:
    """Say whether a text wants a parameter: it stands in brackets, or holds one that there is."""
    bare = text.strip()
    if bare.startswith("{{") and bare.endswith("}}"):
        return True
    return any(found.group(1) in declared for found in PLACEHOLDER.finditer(text))


def _is_unquoted(node: Node) -> bool:
    return node.file.line(node.line)[node.column - 1 :].startswith("{{")
