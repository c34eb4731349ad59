"""How does a table with dotted columns say what an event says in nested JSON?

`user.id`, `order.shipping_address.country`: one column for each leaf of the API's event; lists
(`order.items`, `device.languages`) are JSON in a text. Invariant: an empty cell is a field that the
event does not state, and no cell is changed but from text to the type that the API asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import orjson

from features.event import Event
from features.problems import did_you_mean

Json = dict[str, Any]


@cache
def leaves() -> Mapping[str, str]:
    """Give the dotted name of each leaf of an event, with its JSON type.

    >>> leaves()["order.shipping_address.country"], leaves()["device.languages"]
    ('string', 'array')
    """
    schema = Event.model_json_schema(by_alias=True)
    found: dict[str, str] = {}
    _collect(schema, schema["$defs"], "", found)
    return found


def _collect(part: Json, parts: Json, prefix: str, found: dict[str, str]) -> None:
    for name, field in part["properties"].items():
        for choice in field.get("anyOf", [field]):
            if "$ref" in choice:
                _collect(parts[choice["$ref"].rpartition("/")[2]], parts, f"{prefix}{name}.", found)
            elif choice.get("type") != "null":
                found[prefix + name] = choice.get("type", "string")


def unknown_columns(columns: Iterable[str]) -> list[str]:
    """Say what is wrong with the columns of a table, one sentence a column."""
    known = leaves()
    problems = [
        f"column `{name}` is no field of an event.{did_you_mean(name, known)}"
        for name in columns
        if name not in known
    ]
    problems += [
        f"column `{name}` is missing: every event needs it"
        for name in ("event_id", "type", "occurred_at")
        if name not in columns
    ]
    return problems


def nested(cells: Mapping[str, Any]) -> Json:
    """Make the JSON of an event of one row; None and "" are no value.

    >>> nested({"event_id": "e-1", "user.id": "u-1", "user.email": "", "login.succeeded": "true"})
    {'event_id': 'e-1', 'user': {'id': 'u-1'}, 'login': {'succeeded': True}}
    """
    event: Json = {}
    for name, cell in cells.items():
        if cell is None or cell == "":
            continue
        *path, leaf = name.split(".")
        part = event
        for step in path:
            part = part.setdefault(step, {})
        part[leaf] = _READ[leaves()[name]](cell) if isinstance(cell, str) else cell
    return event


def _whole(text: str) -> Any:
    sign, digits = text[:1], text.lstrip("-")
    is_whole = digits.isascii() and digits.isdecimal() and len(digits) < 20
    return int(text) if is_whole and (sign != "-" or text[1:] == digits) else text


def _flag(text: str) -> Any:
    return {"true": True, "false": False}.get(text.strip().lower(), text)


def _list(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text  # the API's own check says what is wrong with it


_READ: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "integer": _whole,
    "boolean": _flag,
    "array": _list,
}
