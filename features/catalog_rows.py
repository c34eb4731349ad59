"""What does a catalog file say, row by row, and is every row well formed?

Reads YAML with line numbers, so that each problem names its place; all problems come at once.
Invariant: a row that comes out of here has every key it needs, of the right type, and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from features.errors import FeatureError
from features.problems import did_you_mean

# section -> key -> (type, is required)
_TEXT, _TEXTS, _FLAG = str, list, bool
_SENTENCES = {
    "description": (_TEXT, False),
    "description_zh": (_TEXT, False),
    "missing_zh": (_TEXT, False),
}
SECTIONS: dict[str, dict[str, tuple[type, bool]]] = {
    "series": {
        "name": (_TEXT, True),
        "entity": (_TEXT, True),
        "measure": (_TEXT, True),
        "of": (_TEXT, False),
        "windows": (_TEXTS, True),
        "events": (_TEXTS, True),
        "read_by": (_TEXTS, False),
        "where": (_TEXT, False),
        "outcomes": (_TEXTS, False),
        "keep": (_TEXT, False),
        "model": (_FLAG, False),
    },
    "derived": {
        "name": (_TEXT, True),
        "numerator": (_TEXT, True),
        "denominator": (_TEXT, True),
    },
    "event_features": {
        "name": (_TEXT, True),
        "type": (_TEXT, True),
        "function": (_TEXT, True),
        "missing": (_TEXT, True),
        "model": (_FLAG, False),
        **_SENTENCES,
    },
    "profiles": {
        "name": (_TEXT, True),
        "type": (_TEXT, True),
        "view": (_TEXT, True),
        "field": (_TEXT, True),
        "missing": (_TEXT, True),
        "model": (_FLAG, False),
        **_SENTENCES,
    },
    "fields": {
        "name": (_TEXT, True),
        "type": (_TEXT, True),
        "model": (_FLAG, False),
        **_SENTENCES,
    },
}
_TYPE_WORDS = {str: "text", list: "a list of texts", bool: "true or false"}
_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class CatalogProblem(NamedTuple):
    """One thing wrong with a catalog file; `entry` is the name of the row, or its section."""

    file: str
    line: int
    entry: str
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.entry}: {self.detail}"


class CatalogError(FeatureError):
    """The catalog cannot be used; `problems` lists everything wrong with it, one line each."""

    code: ClassVar[str] = "CATALOG_ERROR"

    def __init__(self, problems: list[CatalogProblem]) -> None:
        """Keep the problems; there is at least one."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Row(NamedTuple):
    """One well-formed row: its line in the file, its section and its keys with their values."""

    line: int
    section: str
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.values["name"])


class Report:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[CatalogProblem] = []

    def add(self, line: int, entry: str, detail: str) -> None:
        self.problems.append(CatalogProblem(self.file, line, entry, detail))

    def add_row(self, row: Row, detail: str) -> None:
        self.add(row.line, row.name, detail)


def duration_ms(text: str) -> int | None:
    """Give the milliseconds of a duration such as 60s, 10m, 24h or 7d; None when it is not one.

    >>> duration_ms("10m"), duration_ms("7d"), duration_ms("1 week")
    (600000, 604800000, None)
    """
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _UNIT_MS[match[2]] if match else None


def read_rows(path: Path, report: Report) -> list[Row]:
    """Read the well-formed rows of a catalog file; everything else goes to the report."""
    try:
        return parse_rows(path.read_text("utf-8"), report)
    except OSError as error:
        report.add(0, "file", f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        report.add(0, "file", "is not UTF-8")
    return []


def parse_rows(text: str, report: Report) -> list[Row]:
    """Return the well-formed rows of a catalog's text; everything else goes to the report."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        report.add(line, "file", f"is not YAML: {getattr(error, 'problem', None) or error}")
        return []
    if not isinstance(root, yaml.MappingNode):
        report.add(1, "file", f"must hold the sections {', '.join(SECTIONS)}")
        return []
    return list(_rows(root, report))


def _rows(root: yaml.MappingNode, report: Report) -> Iterator[Row]:
    names: dict[str, int] = {}
    for section, node in _pairs(root, "file", report):
        line = node.start_mark.line + 1
        if section not in SECTIONS:
            report.add(line, section, "unknown section." + did_you_mean(section, SECTIONS))
        elif not isinstance(node, yaml.SequenceNode):
            report.add(line, section, "must be a list of rows")
        else:
            for entry in node.value:
                row = _row(section, entry, report)
                if row is not None and row.name in names:
                    report.add_row(row, f"this name is taken by the row in line {names[row.name]}")
                elif row is not None:
                    names[row.name] = row.line
                    yield row


def _row(section: str, node: yaml.Node, report: Report) -> Row | None:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        report.add(line, section, "each row must be a mapping of keys to values")
        return None
    keys = SECTIONS[section]
    values = {
        key: _value(child, keys[key][0] if key in keys else str)
        for key, child in _pairs(node, section, report)
    }
    name = values.get("name")
    entry = name if isinstance(name, str) else section
    before = len(report.problems)
    for key, value in values.items():
        if key not in keys:
            report.add(line, entry, f"unknown key `{key}`.{did_you_mean(key, keys)}")
        elif not _is(keys[key][0], value):
            report.add(line, entry, f"`{key}` must be {_TYPE_WORDS[keys[key][0]]}")
    for key, (_, is_required) in keys.items():
        if is_required and key not in values:
            report.add(line, entry, f"`{key}` is missing")
    return Row(line, section, values) if len(report.problems) == before else None


def _pairs(node: yaml.MappingNode, entry: str, report: Report) -> Iterator[tuple[str, yaml.Node]]:
    seen: set[str] = set()
    for key_node, child in node.value:
        key = str(key_node.value)
        if key in seen:
            report.add(key_node.start_mark.line + 1, entry, f"`{key}` appears twice")
        seen.add(key)
        yield key, child


def _value(node: yaml.Node, kind: type) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, str) for child in node.value]
    if isinstance(node, yaml.ScalarNode):
        if node.tag == "tag:yaml.org,2002:bool" and kind is bool:
            return node.value.lower() in {"true", "yes", "on"}
        if node.tag != "tag:yaml.org,2002:null":
            return node.value  # as it is written: `no` is a text where a text is due
    return None


def _is(kind: type, value: Any) -> bool:
    if kind is list:
        return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)
    return isinstance(value, kind) and value != ""
