"""What is wrong with a body that is not an event: everything, in one answer.

This is the slow path behind `parse_event`; it reads the body again, as plain JSON.
Invariant: every pointer names a place in the body, or a field that is missing from it; no problem
repeats what the caller sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from features.card_numbers import has_card_number
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from features.problems import Problem, did_you_mean, is_showable_name, pointer_of, problem_of

MAX_LISTED = 200  # a body of 64 KiB can have thousands, which nobody reads
_MAX_DEPTH = 32  # an event needs 4
_CARD = "A payment card number. Send the token of your payment provider instead."
_CARD_KEY = "A field name here holds a payment card number."
_REPEATED = "This field appears more than once in its object."
_CURRENCY_PARTS = ("order", "payment", "coupon", "return", "listing", "settlement")
_CODE = re.compile(r"[A-Z]{3}")  # what is not a code at all is reported as such
Path = tuple[str | int, ...]


class _Unreadable(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.problem = Problem("", code, detail)


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys came more than once."""

    repeated: tuple[str, ...] = ()


def problems_of(
    raw: bytes,
    model: type[BaseModel],
    error: ValidationError | None,
    currencies: CurrencyTable | None,
) -> list[Problem]:
    """List every problem of a body, in the order of their pointers; empty when there is none."""
    try:
        tree = _read(raw)
    except _Unreadable as unreadable:
        return [unreadable.problem]
    if not isinstance(tree, dict):
        return [Problem("", "not_an_object", "The body must be one JSON object.")]
    problems = [problem for path, node in _walk(tree) for problem in _of_node(path, node)]
    if error is not None:
        problems += _of_pydantic(error, model)
    problems += _missing_parts(tree)
    if currencies is not None:
        problems += _unknown_currencies(tree, currencies)
    listed = sorted(dict.fromkeys(problems))
    if len(listed) > MAX_LISTED:
        text = f"{len(listed) - MAX_LISTED} more problems are not listed."
        listed = [*listed[:MAX_LISTED], Problem("", "more_problems", text)]
    return listed


def _read(raw: bytes) -> Any:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        detail = f"The body must be UTF-8; byte {error.start} is not."
        raise _Unreadable("not_utf8", detail) from None
    if text.startswith("\ufeff"):
        raise _Unreadable("invalid_json", "Leave out the byte order mark before the JSON.")
    try:
        tree = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_int)
    except json.JSONDecodeError as error:
        detail = f"Not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        raise _Unreadable("invalid_json", detail) from None
    except RecursionError:
        raise _Unreadable("too_deep", "The JSON is nested far too deeply.") from None
    if _depth_exceeds(tree, _MAX_DEPTH):
        raise _Unreadable("too_deep", f"The JSON is nested more than {_MAX_DEPTH} levels deep.")
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        detail = "A \\u escape in the JSON is half of a surrogate pair."
        raise _Unreadable("invalid_json", detail) from None
    return tree


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        made.repeated = tuple(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add is used for its effect
    return made


def _constant(_: str) -> Any:
    raise _Unreadable("invalid_json", "NaN and Infinity are not JSON.")


def _int(digits: str) -> int:
    # Python refuses to convert more than 4,300 digits; any number of 19 digits is out of range.
    return int(digits[:20])


def _depth_exceeds(tree: Any, limit: int) -> bool:
    level = [tree]
    for _ in range(limit + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _walk(tree: Any) -> Iterator[tuple[Path, Any]]:
    """Give every node with its path; below a name that must not be shown, the path stops."""
    stack: list[tuple[Path, Any]] = [((), tree)]
    while stack:
        path, node = stack.pop()
        yield path, node
        if isinstance(node, dict):
            stack.extend((_below(path, key), child) for key, child in node.items())
        elif isinstance(node, list):
            stack.extend(((*path, index), child) for index, child in enumerate(node))


def _below(path: Path, key: str) -> Path:
    return (*path, key) if is_showable_name(key) else path


def _of_node(path: Path, node: Any) -> Iterator[Problem]:
    if isinstance(node, str):
        if has_card_number(node) and not _is_phone(path, node):
            yield Problem(pointer_of(path), "card_number", _CARD)
    elif isinstance(node, _Object):
        if any(has_card_number(key) for key in node):
            yield Problem(pointer_of(path), "card_number", _CARD_KEY)
        for key in node.repeated:
            yield Problem(pointer_of(_below(path, key)), "repeated_field", _REPEATED)


def _is_phone(path: Path, text: str) -> bool:
    # An E.164 number may by chance look like a 13-digit Visa number (+49 ...: one in ten does).
    # So in `user.phone` a leading + and at most 13 digits is a phone; 14 or more is looked at.
    if path != ("user", "phone") or not text.startswith("+"):
        return False
    return sum(character.isdecimal() for character in text) <= 13


def _of_pydantic(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    details = error.errors(include_url=False, include_input=False)
    return [
        problem_of(detail, _fields_beside(model, detail["loc"]) if place < MAX_LISTED else ())
        for place, detail in enumerate(details)
    ]


def _fields_beside(model: type[BaseModel], path: Path) -> list[str]:
    """List the fields that the object at the parent of a path may have, as JSON spells them."""
    for step in path[:-1]:
        if isinstance(step, str):
            annotation = _by_name(model)[step].annotation
            model = next(_models_in(annotation), model)
    return list(_by_name(model))


def _by_name(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _missing_parts(tree: dict[str, Any]) -> list[Problem]:
    kind = tree.get("type")
    row = EVENT_TYPES.get(kind) if isinstance(kind, str) else None
    if row is None:
        return []
    return [
        Problem("/" + part, "missing", f"An event of type {row.name} needs `{part}`.")
        for part in row.required
        if tree.get(part) is None
    ]


def _unknown_currencies(tree: dict[str, Any], currencies: CurrencyTable) -> list[Problem]:
    problems = []
    for part in _CURRENCY_PARTS:
        inside = tree.get(part)
        code = inside.get("currency") if isinstance(inside, dict) else None
        if isinstance(code, str) and _CODE.fullmatch(code) and code not in currencies:
            known = ", ".join(currencies.currencies)
            text = f"This shop has no rate for that currency. It has {known}."
            hint = did_you_mean(code, currencies.currencies)
            problems.append(Problem(f"/{part}/currency", "unknown_currency", text + hint))
    return problems
