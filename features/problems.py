"""How is a bad event described to its caller?

Every problem at once, each with a JSON pointer (RFC 6901), a stable code and a helpful sentence.
Invariant: no value of the caller and no name that could be personal data appears in a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar, NamedTuple

from features.errors import FeatureError

# What a field name looks like. Anything else in the place of a name may be data, and is not shown.
_NAME_LIKE = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,31}[0-9]{0,3}\Z")


class Problem(NamedTuple):
    """One thing wrong with an event. `pointer` is "" when it concerns the whole body."""

    pointer: str
    code: str
    detail: str


class InvalidEvent(FeatureError):
    """The body is not an event; `problems` lists everything that is wrong with it."""

    code: ClassVar[str] = "INVALID_EVENT"

    def __init__(self, problems: list[Problem]) -> None:
        """Keep the problems; there is at least one."""
        super().__init__(f"{len(problems)} problem(s) in the event")
        self.problems = problems


def pointer_of(path: Iterable[str | int]) -> str:
    """Write a path as an RFC 6901 JSON pointer.

    >>> pointer_of(("order", "items", 0, "a/b~c"))
    '/order/items/0/a~1b~0c'
    >>> pointer_of(())
    ''
    """
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "".join("/" + step for step in steps)


def is_showable_name(name: str) -> bool:
    """Say whether an unknown field name is surely a name, and not somebody's data.

    >>> is_showable_name("emial"), is_showable_name("13800138000"), is_showable_name("a@b.example")
    (True, False, False)
    """
    return _NAME_LIKE.match(name) is not None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give ` Did you mean ...?` for the nearest known name, or nothing.

    >>> did_you_mean("curency", ["currency", "amount_minor"])
    ' Did you mean `currency`?'
    """
    spelled = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), spelled, n=1, cutoff=0.6)
    return f" Did you mean `{spelled[near[0]]}`?" if near else ""


def problem_of(error: Any, known_fields: Iterable[str]) -> Problem:
    """Turn one pydantic error into a problem; `known_fields` are the names allowed beside it."""
    path: tuple[str | int, ...] = error["loc"]
    kind: str = error["type"]
    context: dict[str, Any] = error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_field(path, known_fields)
    if kind == "value_error":  # raised by the validators of features/event.py: texts without values
        return Problem(pointer_of(path), "invalid_value", str(context["error"]))
    if kind == "string_pattern_mismatch":
        text = _PATTERNS.get(context["pattern"], "This value is not allowed here.")
        return Problem(pointer_of(path), "invalid_value", text)
    code, text = _TEXTS.get(kind, ("invalid_value", "This value is not allowed here."))
    return Problem(pointer_of(path), code, text.format_map(context))


def _unknown_field(path: tuple[str | int, ...], known: Iterable[str]) -> Problem:
    name = str(path[-1])
    if not is_showable_name(name):
        text = "An unknown field, whose name is not repeated here as it may be personal data."
        return Problem(pointer_of(path[:-1]), "unknown_field", text)
    text = f"Unknown field `{name}`.{did_you_mean(name, known)}"
    return Problem(pointer_of(path), "unknown_field", text)


# What the patterns of features/event_fields.py mean.
_PATTERNS = {
    r"^[a-z0-9_]{1,40}$": "Must be a word of a-z, 0-9 and _, such as card or sms_code.",
    r"^[0-9]{1,5}x[0-9]{1,5}$": "Must be width x height in pixels, such as 1170x2532.",
    r"^[A-Za-z]{1,8}([-_][A-Za-z0-9]{1,8}){0,4}$": "Must be a language tag, such as zh-CN.",
    r"^[A-Z]{2}$": "Must be an ISO 3166 country code of two capital letters, such as CN.",
    r"^[A-Z]{3}$": "Must be an ISO 4217 currency code of three capital letters, such as CNY.",
    r"^[0-9]{6,8}$": "Must be the first 6 to 8 digits of the card, as a string.",
}
_TEXTS: dict[str, tuple[str, str]] = {
    "json_invalid": ("invalid_json", "Not JSON that can be read: {error}."),
    "missing": ("missing", "This field is required."),
    "model_type": ("wrong_type", "Must be a JSON object."),
    "model_attributes_type": ("wrong_type", "Must be a JSON object."),
    "dict_type": ("wrong_type", "Must be a JSON object."),
    "list_type": ("wrong_type", "Must be a JSON array."),
    "tuple_type": ("wrong_type", "Must be a JSON array."),
    "string_type": ("wrong_type", "Must be a string."),
    "int_type": ("wrong_type", "Must be a whole number, without quotes and without a fraction."),
    "bool_type": ("wrong_type", "Must be true or false, without quotes."),
    "datetime_type": ("wrong_type", "Must be a time as a string, such as 2026-11-22T08:15:30Z."),
    "string_too_short": ("too_short", "Must have at least {min_length} character(s)."),
    "string_too_long": ("too_long", "Must have at most {max_length} characters."),
    "too_long": ("too_long", "Must have at most {max_length} entries."),
    "too_short": ("too_short", "Must have at least {min_length} entries."),
    "greater_than_equal": ("out_of_range", "Must be {ge} or more."),
    "less_than_equal": ("out_of_range", "Must be {le} or less."),
    "int_parsing_size": ("out_of_range", "This number is far too large."),
    "literal_error": ("not_allowed", "Must be one of {expected}."),
    "string_unicode": ("invalid_value", "Must be valid Unicode text."),
}
