"""Which HTTP answer do the errors of persons' rights get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

AUDIT_RIGHTS_PROBLEMS: Mapping[str, ProblemKind] = {
    "own_rights_request": ProblemKind(
        403,
        "Nobody decides on what they asked for",
        "Another person of compliance must decide on this.",
    ),
    "not_compliance": ProblemKind(
        403,
        "Only compliance asks for this and decides on it",
        "The role can be asked for: `touchstone people grant`.",
    ),
    "unknown_rights_request": ProblemKind(
        404, "No such request", "`GET /v1/audit/rights-requests` shows them."
    ),
    "rights_request_decided": ProblemKind(
        409,
        "The request is not in a state that takes this",
        "Look at the request: it was decided, or is of another kind.",
    ),
    "subject_restricted": ProblemKind(
        451,
        "Reading about this person is restricted",
        "A request about the person is open. With `despite_restriction` an access request of the "
        "person is answered all the same.",
    ),
    "erasure_incomplete": ProblemKind(
        503,
        "A store that holds something of the person does not answer",
        "Nothing was erased. Try again after `Retry-After` seconds.",
        retry_after_seconds=5,
    ),
    "decision_erased": ProblemKind(
        410,
        "The decision cannot be read any more",
        "The person was erased, or the decision is past its retention.",
    ),
    "decision_restricted": ProblemKind(
        451,
        "Reading about this person is restricted",
        "A request about the person is open: ask compliance.",
    ),
}
