"""Which HTTP answer do the errors of rule sets, backtests, rollouts and emergency stops get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

RULE_PROBLEMS: Mapping[str, ProblemKind] = {}
