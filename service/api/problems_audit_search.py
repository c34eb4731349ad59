"""Which HTTP answer do the errors of looking into the record get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

AUDIT_SEARCH_PROBLEMS: Mapping[str, ProblemKind] = {
    "unknown_entry": ProblemKind(
        404,
        "No such entry",
        "An id has 32 hexadecimal digits; `POST /v1/audit/search` finds entries.",
    ),
    "entry_erased": ProblemKind(
        410,
        "Nothing is left of the entry to show",
        "The person was erased, or the data are past their retention. Its header is kept.",
    ),
    "entry_restricted": ProblemKind(
        423,
        "The person's data are restricted",
        "Somebody asked for restriction or erasure: nobody reads about the person meanwhile.",
    ),
    "search_too_wide": ProblemKind(
        422, "The search would look at too much", "Search a shorter time, or for one person."
    ),
}
