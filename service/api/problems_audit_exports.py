"""Which HTTP answer do the errors of exports get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

AUDIT_EXPORT_PROBLEMS: Mapping[str, ProblemKind] = {
    "unknown_export": ProblemKind(
        404,
        "No such export",
        "`GET /v1/audit/exports` and `touchstone ledger export list` name them.",
    ),
    "export_not_allowed": ProblemKind(
        403,
        "The export is not yours to do this with",
        "Persons are disclosed to compliance only; a package is fetched by who asked for it.",
    ),
    "own_export": ProblemKind(
        403, "Two people are needed", "Somebody else decides on what you asked for."
    ),
    "export_decided": ProblemKind(409, "The export was decided on before", "Ask for another one."),
    "wrong_export_state": ProblemKind(
        409,
        "The export is in another state",
        "`GET /v1/audit/exports/{export_id}` tells how far it is, or how it ended.",
    ),
    "nothing_to_export": ProblemKind(
        422,
        "No entry is in the range",
        "A range has entries under a signed checkpoint; the newest are under one within seconds.",
    ),
    "too_many_exports": ProblemKind(
        429,
        "Too many packages wait",
        "One is built at a time. Cancel some, or ask again after `Retry-After` seconds.",
        retry_after_seconds=60,
    ),
    "package_not_here": ProblemKind(
        409,
        "The package cannot be read here",
        "It lies on the machine that built it, or was lost with its directory: ask for it again.",
    ),
    "range_unsatisfiable": ProblemKind(
        416, "The package does not have these bytes", "Ask for bytes that it has, or for all."
    ),
}
