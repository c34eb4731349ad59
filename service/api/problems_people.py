"""Which HTTP answer do the errors of people, roles and keys get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

PEOPLE_PROBLEMS: Mapping[str, ProblemKind] = {
    "not_a_person": ProblemKind(
        403,
        "Only people may do this",
        "Use a key that belongs to a person: `touchstone people` shows them.",
    ),
}
