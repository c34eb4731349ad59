"""What can go wrong while rules, policy and reasons are loaded?

Invariant: only loading, and tuning a parameter, fails. Evaluating and settling are total and
raise nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rules.diagnostic import Diagnostic, render


class RulesError(Exception):
    """The root of this folder's errors; each leaf has a stable `code`."""

    code: ClassVar[str] = "rules"


class ContentError(RulesError):
    """A file cannot be used; carries every problem found, not only the first."""

    code: ClassVar[str] = "rules_content_invalid"

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics))
        super().__init__(render(self.diagnostics).rstrip())


class RuleSetInvalid(ContentError):
    """A rule pack cannot be used."""

    code: ClassVar[str] = "rule_set_invalid"


class PolicyInvalid(ContentError):
    """The policy file cannot be used."""

    code: ClassVar[str] = "policy_invalid"


class ReasonsInvalid(ContentError):
    """The reason texts cannot be used."""

    code: ClassVar[str] = "reasons_invalid"


class ParameterRefused(RulesError):
    """A parameter that there is not, or a value that it cannot have."""

    code: ClassVar[str] = "parameter_refused"
