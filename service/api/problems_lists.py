"""Which HTTP answer do the errors of lists, labels and evidence get?

Rows of `problems.PROBLEMS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

LIST_PROBLEMS: Mapping[str, ProblemKind] = {
    "rows_invalid": ProblemKind(
        422,
        "Some rows are not valid",
        "Nothing was changed. Correct every entry of `problems` and send all rows again.",
    ),
    "too_many_rows": ProblemKind(
        413,
        "Too many rows for one import",
        "Nothing was changed. At most 100,000 rows and 16 MiB: send the file in parts.",
    ),
    "unknown_list": ProblemKind(
        404, "No such list", "`GET /v1/lists` and `touchstone lists show` name them."
    ),
    "list_exists": ProblemKind(409, "There is a list of this name", "Choose another name."),
    "lists_full": ProblemKind(
        409,
        "The lists would hold too many entries",
        "Remove entries, let them expire, or raise TOUCHSTONE_LISTS__MAX_ENTRIES.",
    ),
}
