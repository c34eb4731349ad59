"""Which HTTP answer do the errors of proofs get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

AUDIT_PROOF_PROBLEMS: Mapping[str, ProblemKind] = {
    "entry_not_covered": ProblemKind(
        503,
        "No signed checkpoint covers the entry yet",
        "It is recorded; it is signed within seconds. Try again after `Retry-After` seconds; "
        "`touchstone ledger status` says what keeps it.",
        retry_after_seconds=5,
    ),
    "out_of_tree": ProblemKind(
        422,
        "The tree has no such size",
        "`first` is at most `second`, and `second` at most the number of entries that are placed.",
    ),
    "tree_broken": ProblemKind(
        500,
        "The stored tree is damaged",
        "`touchstone ledger verify` says where.",
    ),
}
