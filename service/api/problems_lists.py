"""Which HTTP answer do the errors of lists, labels and evidence get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

LIST_PROBLEMS: Mapping[str, ProblemKind] = {}
