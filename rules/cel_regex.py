"""How large is a regular expression, once its counted repetitions are written out?

RE2 takes linear time, and the runtime compiles a pattern each time it is used: both grow with the
pattern's states. Invariant: `states` never raises, and evaluating a pattern on a text of 1,024
characters takes at most 26 us a state (measured; `tests/properties/test_rule_bombs.py`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from cel_expr_python import cel

# A Unicode class such as \pL becomes hundreds of byte ranges: 1 ms to compile, as 40 other states.
_UNICODE_CLASS = 40
_COUNTED = re.compile(r"\{(\d+)(,(\d*))?\}")
_ENDLESS = 10**9


def states(pattern: str) -> int:
    """Return an upper bound of the states of a pattern in RE2's syntax.

    >>> states("^[a-z]+@(qq|163)[.]com$"), states("(x{1,30}){1,10}"), states("[^x]{100}")
    (14, 310, 100)
    >>> states(r"\\pL{2}[\\d\\pN]"), states("((x)){3}")
    (120, 9)
    """
    # One entry a group that is open: what stands in it so far, and its last piece.
    open_groups: list[list[int]] = [[0, 0]]
    at = 0
    while at < len(pattern):
        group = open_groups[-1]
        character = pattern[at]
        counted = _COUNTED.match(pattern, at)
        if character in "*+?":
            at += 1
        elif counted is not None:
            least, most = int(counted[1][:9]), int((counted[3] or "0")[:9])
            group[1] = min(_ENDLESS, group[1] * max(least + (counted[3] == ""), most, 1))
            at = counted.end()
        elif character == "(":
            open_groups.append([0, 0])
            at += 1
        elif character == ")" and len(open_groups) > 1:
            inside = open_groups.pop()
            _piece(open_groups[-1], 1 + sum(inside))
            at += 1
        else:
            size, at = _single(pattern, at)
            _piece(group, size)
    while len(open_groups) > 1:
        inside = open_groups.pop()
        _piece(open_groups[-1], 1 + sum(inside))
    return sum(open_groups[0])


def _piece(group: list[int], size: int) -> None:
    group[0] += group[1]
    group[1] = size


def _single(pattern: str, at: int) -> tuple[int, int]:
    """Return the states of one character, escape or class, and where it ends."""
    if pattern[at] == "|":
        return 0, at + 1
    if pattern[at] == "\\":
        return _escape(pattern, at)
    if pattern[at] != "[":
        return 1, at + 1
    size, at = 1, at + 1
    if pattern[at : at + 1] == "^":
        at += 1
    first = at
    while at < len(pattern) and (pattern[at] != "]" or at == first):
        if pattern[at] == "\\":
            part, at = _escape(pattern, at)
            size += part - 1
        elif pattern.startswith("[:", at) and ":]" in pattern[at:]:
            at = pattern.index(":]", at) + 2
        else:
            at += 1
    return size, at + 1


def _escape(pattern: str, at: int) -> tuple[int, int]:
    kind = pattern[at + 1 : at + 2]
    if kind in ("p", "P"):
        end = pattern.find("}", at) if pattern[at + 2 : at + 3] == "{" else at + 2
        return _UNICODE_CLASS, (end if end >= 0 else len(pattern)) + 1
    if kind == "x" and pattern[at + 2 : at + 3] == "{":
        end = pattern.find("}", at)
        return 1, (end if end >= 0 else len(pattern)) + 1
    return 1, at + 2


def fault(pattern: str) -> str | None:
    """Return why RE2 refuses a pattern, or None. Ask only for patterns of few `states`."""
    try:
        answer = _matching().eval(data={"pattern": pattern}).plain_value()
    except RuntimeError:
        return "the text is no valid Unicode"
    if isinstance(answer, bool):
        return None
    return str(answer).split("regular expression: ", 1)[-1]


@cache
def _matching() -> Any:
    env = cel.NewEnv(variables={"pattern": cel.Type.STRING})
    return env.compile("''.matches(pattern)")
