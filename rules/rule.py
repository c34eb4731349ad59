"""What does one rule say?

Invariant: a rule is frozen data, as its author wrote it; `content` is all of it but its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rules.decision import Mode, Outcome, Precedence
from rules.diagnostic import Diagnostic
from rules.document import Node
from rules.parameters import Parameter
from rules.written import Written


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a rule's numbers come from, and how often they hit honest people."""

    source: str
    false_alarms: str


@dataclass(frozen=True, slots=True)
class Example:
    """Facts that the rule must answer with `expect`: hit, no_hit, unknown or error.

    Parameters are filled in. Not `is_whole`: some fact could not be read, which is a problem that
    was noted, and the example is not run.
    """

    facts: Mapping[str, Any]
    expect: str
    note: str = ""
    node: Node | None = field(default=None, compare=False, repr=False)
    is_whole: bool = field(default=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as its author wrote it; `id` is kebab-case and lives for ever.

    `when` is what is evaluated: parameters filled in, the scope before it. `made_by` is the id of
    the decision table or the score card that the rule is a part of, None for a rule of its own.
    An empty scope (`business_lines`, `regions`) is every event.
    """

    id: str
    description: str
    owner: str
    event_types: tuple[str, ...]
    when: str
    outcome: Outcome
    reason: str
    threshold: Threshold
    mode: Mode = "live"
    precedence: Precedence = "normal"
    step_up: str | None = None
    delay_seconds: int = 0
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    examples: tuple[Example, ...] = ()
    business_lines: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    made_by: str | None = None
    node: Node | None = field(default=None, compare=False, repr=False)
    written: Written | None = field(default=None, compare=False, repr=False)

    def content(self) -> dict[str, Any]:
        """Return what the version is computed over: all of the rule but its place."""
        return {
            "id": self.id,
            "description": self.description,
            "owner": self.owner,
            "event_types": list(self.event_types),
            "when": self.when,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "threshold": [self.threshold.source, self.threshold.false_alarms],
            "mode": self.mode,
            "precedence": self.precedence,
            "step_up": self.step_up,
            "delay_seconds": self.delay_seconds,
            "valid_from": self.valid_from.isoformat() if self.valid_from else None,
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
            "examples": [[dict(e.facts), e.expect, e.note] for e in self.examples],
            "business_lines": list(self.business_lines),
            "regions": list(self.regions),
            "parameters": {each.name: each.content() for each in self.parameters},
            "made_by": self.made_by,
        }

    def part(self, key: str) -> Node | None:
        """Return the place of one of the rule's keys, or of the rule itself."""
        if self.node is None or not isinstance(self.node.value, dict):
            return self.node
        found: Node = self.node.value.get(key, self.node)
        return found

    def diagnose(
        self, place: tuple[int, int], code: str, message: str, hint: str = ""
    ) -> Diagnostic:
        """Return a diagnostic at a place (line, column) of `when`, where it stands in the file."""
        if self.written is None:
            return Diagnostic(self.id, *place, code, message, hint, self.when)
        return self.written.diagnose(place, code, message, hint)

    def is_valid_at(self, at: datetime | None) -> bool:
        """Say whether `at` lies in [valid_from, valid_until); without a time, always.

        A time without a zone is read as UTC.
        """
        if at is None:
            return True
        moment = at if at.tzinfo else at.replace(tzinfo=UTC)
        if self.valid_from is not None and moment < self.valid_from:
            return False
        return self.valid_until is None or moment < self.valid_until
