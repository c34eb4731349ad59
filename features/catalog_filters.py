"""Does an event count for a series? The `where` of the catalog, in CEL over event fields.

Invariant: a filter is true, false, or unknown when a name it needs has no value; unknown does not
count. What the event type alone decides is decided once, at load.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cel_expr_python import cel

from features.fields import FIELD_TYPES, Value
from features.problems import did_you_mean

_CEL_TYPES = {
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "string": cel.Type.STRING,
}
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")


class BadFilter(Exception):
    """A filter does not compile, or is not a condition; the text says why."""


class Filter:
    """One compiled condition; `source` is its text."""

    __slots__ = ("_expression", "source")

    def __init__(self, source: str, environment: Any) -> None:
        self.source = source
        try:
            self._expression = environment.compile(source)
        except RuntimeError as error:
            raise BadFilter(_explained(str(error))) from None
        if self._expression.return_type() != cel.Type.BOOL:
            kind = self._expression.return_type().name()
            raise BadFilter(f"must be a condition (true or false), but is {kind}")

    def verdict(self, fields: Mapping[str, Value]) -> bool | None:
        """Give true, false, or None when it cannot be told."""
        result = self._expression.eval(data=fields)
        return result.plain_value() if result.type() == cel.Type.BOOL else None


def filter_environment() -> Any:
    """Make the CEL environment in which every event field is a name."""
    return cel.NewEnv(variables={name: _CEL_TYPES[kind] for name, kind in FIELD_TYPES.items()})


def _explained(message: str) -> str:
    first = message.splitlines()[0].removeprefix("INVALID_ARGUMENT: ERROR: ")
    undeclared = _UNDECLARED.search(first)
    hint = did_you_mean(undeclared[1], FIELD_TYPES) if undeclared else ""
    return f"{first.removeprefix('<input>:')}.{hint}"
