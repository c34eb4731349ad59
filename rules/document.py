"""Where in its YAML file does each value stand?

A small YAML reader that keeps positions: `read` gives a tree of `Node`s, each with its place.
Plain words are typed by the YAML 1.2 core schema, so `mode: off` and `country: NO` are texts.
Invariant: reading never raises; what is wrong with the syntax is a diagnostic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from rules.diagnostic import Diagnostic, did_you_mean

_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@lru_cache(maxsize=4)
def _lines(text: str) -> list[str]:
    return text.split("\n")


@dataclass(frozen=True, slots=True)
class File:
    """A file's name and text."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Return line `number`, counted from 1; empty past the end."""
        lines = _lines(self.text)
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""

    def diagnose(
        self, line: int, column: int, code: str, message: str, hint: str = ""
    ) -> Diagnostic:
        """Return an error at this place."""
        return Diagnostic(self.name, line, column, code, message, hint, self.line(line))


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value and its place. `value` is a plain scalar, a list of nodes, or a dict of nodes.

    `keys` holds the places of a mapping's keys, so that a wrong key is shown under its caret.
    `start` and `end` are the offsets of a scalar in the file's text, quotes included.
    """

    file: File
    value: Any
    line: int
    column: int
    start: int = 0
    end: int = 0
    style: str | None = None
    keys: dict[str, Node] | None = None

    def diagnose(self, code: str, message: str, hint: str = "") -> Diagnostic:
        """Return an error at this value."""
        return self.file.diagnose(self.line, self.column, code, message, hint)

    @property
    def source(self) -> str:
        """A scalar as the file spells it: `1.50`, not 1.5."""
        return self.file.text[self.start : self.end]

    def plain(self) -> Any:
        """Return the value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def place_of(self, line: int, column: int) -> tuple[int, int]:
        """Return the file's line and column of a place inside this text value.

        The value's characters are aligned with the file's: equal ones match, the file's quotes,
        indentation and line breaks are passed over. Where escapes break the alignment the place
        is the value's start.
        """
        text: str = self.value
        lines = text.split("\n")
        wanted = sum(len(part) + 1 for part in lines[: line - 1]) + column - 1
        source, at = self.file.text, self.start
        if self.style in ("|", ">"):
            at = source.find("\n", at) + 1
        last = at
        for index in range(min(wanted + 1, len(text))):
            while at < len(source) and source[at] != text[index]:
                if text[index].isspace() and not source[at].isspace():
                    return self.line, self.column
                if text[index].isspace() or source[at] in " \t\r\n\"'\\":
                    if text[index].isspace():
                        break
                    at += 1
                    continue
                return self.line, self.column
            last = at
            at += 1
        place = last if wanted < len(text) else last + 1 if text else last
        before = source[:place]
        return before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1


class _Loader(yaml.BaseLoader):
    """PyYAML's composer, which types no words by itself, without anchors."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed here", mark)
        return super().compose_node(parent, index)


def read(name: str, text: str) -> tuple[Node | None, list[Diagnostic]]:
    """Return the file's tree (None for a broken or an empty one) and what is wrong with it."""
    file = File(name, text)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        hint = "indent with spaces" if "\\t" in (error.problem or "") else ""
        detail = " ".join(part for part in (error.problem, error.context) if part)
        return None, [file.diagnose(line, column, "yaml", f"YAML: {detail}", hint)]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        return None, [file.diagnose(1, 1, "yaml", f"YAML: {detail}")]
    if root is None:
        return None, [file.diagnose(1, 1, "empty", "the file is empty")]
    problems: list[Diagnostic] = []
    return _convert(file, root, problems), problems


def _convert(file: File, node: yaml.Node, problems: list[Diagnostic]) -> Node:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    if isinstance(node, yaml.ScalarNode):
        value = node.value if node.style else _scalar(node.value)
        start, end = node.start_mark.index, node.end_mark.index
        return Node(file, value, line, column, start, end, node.style)
    if isinstance(node, yaml.SequenceNode):
        return Node(file, [_convert(file, item, problems) for item in node.value], line, column)
    values: dict[str, Node] = {}
    keys: dict[str, Node] = {}
    for key_node, value_node in node.value:
        key_line, key_column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
        if name in values:
            message = f"'{name}' is given twice, first on line {keys[name].line}"
            problems.append(file.diagnose(key_line, key_column, "duplicate-key", message))
            continue
        keys[name] = Node(file, name, key_line, key_column)
        values[name] = _convert(file, value_node, problems)
    return Node(file, values, line, column, keys=keys)


def _scalar(word: str) -> Any:
    if word.lower() in _WORDS and word in (word.lower(), word.title(), word.upper()):
        return _WORDS[word.lower()]
    if _INTEGER.match(word):
        return int(word) if len(word) < 40 else word
    if _FLOAT.match(word):
        return float(word)
    return word


def check_keys(
    node: Node, known: Iterable[str], what: str, problems: list[Diagnostic]
) -> dict[str, Node]:
    """Return the node's mapping without unknown keys, each of which is a diagnostic."""
    if not isinstance(node.value, dict):
        problems.append(node.diagnose("shape", f"{what} must be a mapping of names to values"))
        return {}
    allowed = tuple(known)
    for key in node.value:
        if key not in allowed:
            hint = did_you_mean(key, allowed) or f"known: {', '.join(allowed)}"
            place = (node.keys or {})[key]
            problems.append(place.diagnose("unknown-key", f"unknown key '{key}' in {what}", hint))
    return {key: value for key, value in node.value.items() if key in allowed}
