"""Which HTTP answer do the errors of rule sets, backtests, rollouts and emergency stops get?

Rows of `problems.PROBLEMS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.api.problem_kind import ProblemKind

RULE_PROBLEMS: Mapping[str, ProblemKind] = {
    "unknown_rule_set": ProblemKind(
        404,
        "No such rule set",
        "`GET /v1/rule-sets` and `touchstone rules history` name them.",
    ),
    "rule_set_invalid": ProblemKind(
        422,
        "This is no rule set",
        "Correct every entry of `problems`; `touchstone rules check DIR` shows their lines.",
    ),
    "parameter_refused": ProblemKind(
        422,
        "The parameter was not set",
        "Nothing was changed. The rule says which parameters it has, and their bounds.",
    ),
    "not_examined": ProblemKind(
        422,
        "The rule set takes too much to be looked into",
        "Nothing was changed. Make it smaller: `rules/README.md` has the limits.",
    ),
    "catalog_changed": ProblemKind(
        409,
        "The catalog was changed",
        "Nothing was changed here. Start the service anew: it runs with the catalog as it was.",
    ),
    "own_work": ProblemKind(
        403,
        "Somebody else must do this",
        "Nobody approves or confirms what is their own.",
    ),
    "evidence_missing": ProblemKind(
        409,
        "Evidence is missing",
        "It takes a passed check and a finished backtest against what is live.",
    ),
    "unknown_backtest": ProblemKind(
        404,
        "No such backtest",
        "Take one of this version against what is live.",
    ),
    "approval_lapsed": ProblemKind(
        409,
        "There is no approval that holds",
        "Check, backtest and submit the version again; somebody else approves it.",
    ),
    "wrong_state": ProblemKind(
        409,
        "This does not fit what is",
        "Nothing was changed. `touchstone rules status` shows what runs.",
    ),
    "unknown_rule": ProblemKind(
        404, "No such rule", "`touchstone rules status` shows what runs and what is stopped."
    ),
    "report_pending": ProblemKind(
        503,
        "The report is being computed",
        "Ask again after `Retry-After` seconds: it goes on meanwhile.",
        retry_after_seconds=2,
    ),
    "report_failed": ProblemKind(
        500, "The report could not be computed", "The log of the service says why."
    ),
}
