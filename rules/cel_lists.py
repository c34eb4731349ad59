"""Which lists does a CEL expression ask about, and how is it evaluated without asking?

`in_list("stolen_devices", "device")` is checked as the call that its author wrote, so that errors
stand at the right column, and evaluated as the bool fact `list.stolen_devices.device`, which the
service looks up before the rules run. Invariant: both arguments are texts written out, so the lists
of a rule are known when it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rules.cel_names import names_in, position
from rules.cel_problems import ExpressionProblem
from rules.listed import Listed

IN_LIST = "in_list"
PREFIX = "list."
LIST_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")

_ARGUMENTS = re.compile(
    r"""\s*\(\s* (?:"([^"\\\n]*)"|'([^'\\\n]*)') \s*,\s* (?:"([^"\\\n]*)"|'([^'\\\n]*)') \s*\)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class ListCall:
    """One `in_list(…)`: what it asks, and the offsets of the call, its list and its kind."""

    listed: Listed
    start: int
    end: int
    list_at: int
    kind_at: int


def list_calls(source: str) -> Iterator[ListCall | ExpressionProblem]:
    """Yield the calls of `in_list` in an expression, and what is wrong with some.

    >>> [call.listed.fact for call in list_calls('a && in_list("vip", "user") // in_list()')]
    ['list.vip.user']
    """
    if IN_LIST not in source and PREFIX not in source:  # most: and reading names takes 30 us
        return
    for name in names_in(source):
        if name.is_member:
            continue
        if name.text.startswith(PREFIX):
            message = f"'{name.text}' is no name that a rule may use"
            hint = 'ask for a list with in_list("name", "kind")'
            yield ExpressionProblem(*position(source, name.start), "cel-list", message, hint)
        if name.text != IN_LIST or not name.is_called:
            continue
        found = _ARGUMENTS.match(source, name.end)
        if found is None:
            message = "in_list takes two texts written out: a list's name and a kind of entity"
            hint = 'such as in_list("stolen_devices", "device")'
            yield ExpressionProblem(*position(source, name.start), "cel-list", message, hint)
            continue
        first, second = (1 if found[1] is not None else 2), (3 if found[3] is not None else 4)
        listed = Listed(found[first], found[second])
        if LIST_NAME.match(listed.list) and LIST_NAME.match(listed.kind):
            yield ListCall(listed, name.start, found.end(), found.start(first), found.start(second))
            continue
        wrong = second if LIST_NAME.match(listed.list) else first
        message = f"'{found[wrong]}' cannot be the name of a list or of a kind of entity"
        hint = "small letters, digits and _, a letter first, at most 41"
        yield ExpressionProblem(*position(source, found.start(wrong)), "cel-list", message, hint)


def rewritten(source: str, calls: list[ListCall]) -> str:
    """Return the expression with its calls replaced by facts.

    The leading point asks for the fact even where a comprehension names its variable `list`.

    >>> rewritten('!in_list("vip", "user")', list(list_calls('!in_list("vip", "user")')))
    '!.list.vip.user'
    """
    for call in reversed(calls):
        source = f"{source[: call.start]}.{call.listed.fact}{source[call.end :]}"
    return source
