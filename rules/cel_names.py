"""Which names stand in a CEL expression, and where?

Texts, comments and numbers are passed over. Invariant: every name that the runtime would look up is
found; a variable of a comprehension may be found besides, which costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<comment> //[^\n]* )
  | (?P<string> [rRbB]{0,2} (?: \"\"\".*?\"\"\" | '''.*?''' ) )
  | (?P<raw> (?:[rR][bB]?|[bB][rR]) (?: "[^"\n]*" | '[^'\n]*' ) )
  | (?P<quoted> [bB]? (?: "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' ) )
  | (?P<number> (?: 0[xX][0-9a-fA-F]+ | [0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)? | \.[0-9]+ ) [uU]? )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* (?: \s*\.\s* [A-Za-z_][A-Za-z0-9_]* )* )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name as written in an expression: its dotted text, without spaces, and its place."""

    text: str
    start: int
    end: int
    is_called: bool
    is_member: bool


def names_in(source: str) -> Iterator[Name]:
    """Yield the names of an expression, without those in texts and comments.

    >>> [name.text for name in names_in("a.b > 1 && 'c' != d // e")]
    ['a.b', 'd']
    """
    before = ""
    for token in _TOKEN.finditer(source):
        if token.lastgroup == "name":
            text = re.sub(r"\s+", "", token.group())
            called = source[token.end() :].lstrip().startswith("(")
            yield Name(text, token.start(), token.end(), called, before == ".")
        if not token.group().isspace() and token.lastgroup != "comment":
            before = token.group()


def position(source: str, at: int) -> tuple[int, int]:
    """Return line and column, from 1, of an offset."""
    before = source[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def offset(source: str, line: int, column: int) -> int:
    """Return the offset of a line and column, from 1."""
    lines = source.split("\n")
    return sum(len(text) + 1 for text in lines[: line - 1]) + column - 1


def literal_spans(source: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of every text and comment of an expression.

    >>> list(literal_spans("a == 'b' // c"))
    [(5, 8), (9, 13)]
    """
    for token in _TOKEN.finditer(source):
        if token.lastgroup in ("comment", "string", "raw", "quoted"):
            yield token.start(), token.end()


def deepest_bracket(source: str) -> tuple[int, int]:
    """Return how many brackets stand open at the deepest place, and its offset.

    >>> deepest_bracket("a || (b && ([1].size() > 0)) // (((((")
    (3, 12)
    """
    depth, deepest, at = 0, 0, 0
    for token in _TOKEN.finditer(source):
        if token.lastgroup != "other":
            continue
        if token.group() in "([{":
            depth += 1
            if depth > deepest:
                deepest, at = depth, token.start()
        elif token.group() in ")]}":
            depth -= 1
    return deepest, at
