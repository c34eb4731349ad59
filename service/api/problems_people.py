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
    "not_an_admin": ProblemKind(
        403,
        "Only admins ask for roles and decide on them",
        "Ask an admin: `touchstone people list` shows who is one.",
    ),
    "own_role_request": ProblemKind(
        403,
        "Nobody decides alone, or on what concerns themselves",
        "Another admin must approve or refuse this.",
    ),
    "outside_limits": ProblemKind(
        403,
        "This lies outside the limits of the caller",
        "Every entry of `problems` says what is limited. Nothing was decided or changed.",
    ),
    "unknown_role_request": ProblemKind(
        404, "No such role request", "`touchstone people requests` shows them."
    ),
    "role_request_decided": ProblemKind(
        409, "The role request was decided before", "Ask again if something else is wanted."
    ),
    "role_request_lapsed": ProblemKind(
        409,
        "The roles changed since the request",
        "Look at what is in force, and ask again.",
    ),
    "too_few_admins": ProblemKind(
        409,
        "Two admins must remain",
        "One alone could not change anything: let a third one in first.",
    ),
    "unknown_key": ProblemKind(
        404, "No such API key", "`GET /v1/keys` and `touchstone keys list` show them."
    ),
}
