"""Which HTTP answer do the errors of checkpoints and witnesses get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

AUDIT_CHECKPOINT_PROBLEMS: Mapping[str, ProblemKind] = {
    "no_checkpoint": ProblemKind(
        404,
        "Nothing is signed yet",
        "The first checkpoint comes seconds after the first entry; `touchstone ledger status` says "
        "what keeps it.",
    ),
    "unknown_checkpoint": ProblemKind(
        404,
        "This log has not published such a checkpoint",
        "Cosign what `GET /v1/audit/checkpoints/latest` returns; of checkpoints older than a day "
        "the last of each hour is kept.",
    ),
    "unknown_witness": ProblemKind(
        422,
        "No signature is of a witness that is known here",
        "TOUCHSTONE_LEDGER__WITNESSES names the public keys of the witnesses.",
    ),
    "cosignature_invalid": ProblemKind(
        422,
        "The cosigned checkpoint is not valid",
        "Send the whole note: the checkpoint's text as it was fetched, and signature lines.",
    ),
}
