"""Which HTTP answer do the errors of backtests get? Rows of `problems.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

BACKTEST_PROBLEMS: Mapping[str, ProblemKind] = {
    "unknown_backtest": ProblemKind(
        404,
        "No such backtest",
        "`GET /v1/rule-sets/{version}/backtests` lists those of a version.",
    ),
    "no_result": ProblemKind(
        409,
        "The backtest has no result",
        "`GET /v1/backtests/{id}` tells how far it is, or how it ended.",
    ),
    "too_many_backtests": ProblemKind(
        429,
        "Too many backtests wait",
        "One runs at a time. Cancel some, or ask again after `Retry-After` seconds.",
        retry_after_seconds=60,
    ),
}
