"""How are the typed values of a mapping in a file read?

Invariant: reading never raises; what has the wrong type becomes a problem at its place, and the
default stands in for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from rules.diagnostic import Diagnostic, did_you_mean
from rules.document import Node

MAX_DELAY_SECONDS = 86_400  # a day: longer than that is a lock, which an attacker could trigger


class Reader:
    """Typed access to a mapping's values; what has the wrong type becomes a problem."""

    def __init__(self, part: Mapping[str, Node], node: Node, problems: list[Diagnostic]) -> None:
        self.part = part
        self.node = node
        self.problems = problems

    def report(self, key: str, code: str, message: str, hint: str = "") -> None:
        """Note a problem at the key's value, or at the mapping where there is none."""
        self.problems.append(self.part.get(key, self.node).diagnose(code, message, hint))

    def need(self, keys: Iterable[str], what: str) -> None:
        """Note each of the keys that is not there."""
        self.problems += [
            self.node.diagnose("missing-key", f"{what} has no '{key}'")
            for key in keys
            if key not in self.part
        ]

    def text(self, key: str, default: str) -> str:
        """Return a text that is not empty."""
        node = self.part.get(key)
        if node is None:
            return default
        if isinstance(node.value, str) and node.value.strip():
            return node.value
        self.report(key, "bad-value", f"'{key}' must be a text that is not empty")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, each once."""
        node = self.part.get(key)
        if node is None:
            return ()
        if isinstance(node.value, list) and node.value:
            texts = tuple(item.value for item in node.value if isinstance(item.value, str))
            if len(texts) == len(node.value):
                return tuple(dict.fromkeys(texts))
        self.report(key, "bad-value", f"'{key}' must be a list of texts that is not empty")
        return ()

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        """Return one of the allowed words."""
        node = self.part.get(key)
        if node is None:
            return default
        if isinstance(node.value, str) and node.value in allowed:
            return node.value
        hint = did_you_mean(str(node.value), allowed) if isinstance(node.value, str) else ""
        message = f"'{key}' must be one of {', '.join(allowed)}"
        self.report(key, f"bad-{key.replace('_', '-')}", message, hint)
        return default

    def seconds(self, key: str) -> int:
        """Return a delay in whole seconds, 0 for none."""
        node = self.part.get(key)
        if node is None:
            return 0
        if type(node.value) is int and 0 < node.value <= MAX_DELAY_SECONDS:
            return node.value
        self.report(key, "bad-value", f"'{key}' must be a whole number from 1 to 86400")
        return 0

    def moment(self, key: str) -> datetime | None:
        """Return a time, in UTC."""
        node = self.part.get(key)
        if node is None:
            return None
        try:
            moment = datetime.fromisoformat(str(node.value))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            hint = "such as 2026-11-11T00:00:00Z"
            self.report(key, "bad-value", f"'{key}' must be a time with a zone", hint)
            return None
        return moment.astimezone(UTC)
