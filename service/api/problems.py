"""Which HTTP answer does each error get?

The only table from an error's `code` to a status (RFC 9457 `application/problem+json`). Every
error leaves through `problem_response`, so all have the same shape; no value of a body is echoed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from features.problems import is_showable_name
from service.api.problem_kind import ProblemKind
from service.api.problems_audit_checkpoints import AUDIT_CHECKPOINT_PROBLEMS
from service.api.problems_audit_exports import AUDIT_EXPORT_PROBLEMS
from service.api.problems_audit_proofs import AUDIT_PROOF_PROBLEMS
from service.api.problems_audit_rights import AUDIT_RIGHTS_PROBLEMS
from service.api.problems_audit_search import AUDIT_SEARCH_PROBLEMS
from service.api.problems_backtests import BACKTEST_PROBLEMS
from service.api.problems_lists import LIST_PROBLEMS
from service.api.problems_people import PEOPLE_PROBLEMS
from service.api.problems_rules import RULE_PROBLEMS

MEDIA_TYPE = "application/problem+json"


PROBLEMS: Mapping[str, ProblemKind] = {
    **RULE_PROBLEMS,
    **AUDIT_CHECKPOINT_PROBLEMS,
    **BACKTEST_PROBLEMS,
    **LIST_PROBLEMS,
    **PEOPLE_PROBLEMS,
    **AUDIT_RIGHTS_PROBLEMS,
    **AUDIT_SEARCH_PROBLEMS,
    **AUDIT_EXPORT_PROBLEMS,
    **AUDIT_PROOF_PROBLEMS,
    "invalid_request": ProblemKind(
        422,
        "The request is not valid",
        "Correct every entry of `problems` and send the request again.",
    ),
    "store_unavailable": ProblemKind(
        503,
        "The database cannot be asked",
        "Nothing was changed. Try again after `Retry-After` seconds.",
        retry_after_seconds=2,
    ),
    "invalid_event": ProblemKind(
        422,
        "The event is not valid",
        "Correct every entry of `problems` and send the event again.",
    ),
    "body_too_large": ProblemKind(
        413,
        "The body is too large",
        "An event may have 65,536 bytes, a rule set 8 MB, another body 1 MB: send less at once.",
    ),
    "body_too_slow": ProblemKind(
        408, "The body took too long", "Send the whole body at once and try again."
    ),
    "missing_key": ProblemKind(
        401,
        "No API key",
        "Send `Authorization: Bearer <key>`. `touchstone keys create` makes a key.",
    ),
    "invalid_key": ProblemKind(
        401,
        "The API key is not valid",
        "The key is unknown or revoked. `touchstone keys create` makes a key.",
    ),
    "missing_scope": ProblemKind(
        403, "The API key may not do this", "Use a key that has the scope this call needs."
    ),
    "keys_unavailable": ProblemKind(
        503,
        "The API keys cannot be read",
        "PostgreSQL has not answered since the start. Try again after `Retry-After` seconds.",
        retry_after_seconds=2,
    ),
    "event_conflict": ProblemKind(
        409,
        "The event_id was used with another body",
        "Send a new `event_id` for a new event, or the unchanged body to get the first answer.",
    ),
    "unknown_decision": ProblemKind(
        404, "No such decision", "Check the `decision_id`; it came with the answer to the event."
    ),
    "not_found": ProblemKind(404, "No such path", "The paths are listed in `/openapi.json`."),
    "method_not_allowed": ProblemKind(
        405, "This path does not take this method", "The methods are listed in `/openapi.json`."
    ),
    "overloaded": ProblemKind(
        503,
        "Too many requests are under way",
        "Nothing was decided or counted. Try again after `Retry-After` seconds.",
        retry_after_seconds=1,
    ),
    "too_many_tokens": ProblemKind(
        429,
        "Too many tokens are asked for",
        "Events without a token are answered, too; ask again after `Retry-After` seconds.",
        retry_after_seconds=1,
    ),
    "record_unavailable": ProblemKind(
        503,
        "The record cannot be read",
        "An answer may be recorded but cannot be read now. Ask again after `Retry-After` seconds.",
        retry_after_seconds=2,
    ),
    "ledger_unavailable": ProblemKind(
        503,
        "The decision cannot be recorded",
        "No record, no answer. Send the same event again after `Retry-After` seconds.",
        retry_after_seconds=2,
    ),
    "out_of_time": ProblemKind(
        503,
        "The time budget is used up",
        "Send the same event again: it is counted once and has one answer.",
        retry_after_seconds=1,
    ),
    "internal_error": ProblemKind(
        500,
        "An error of ours",
        "Send the same event again; if it stays, report the time of this answer.",
    ),
}


def problem_response(
    code: str,
    *,
    detail: str | None = None,
    problems: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer for an error `code` of the table; an unknown code is a KeyError."""
    kind = PROBLEMS[code]
    body = problem_body(code, detail=detail, problems=problems)
    all_headers = dict(headers or {})
    if kind.retry_after_seconds is not None:
        all_headers["Retry-After"] = str(kind.retry_after_seconds)
    if kind.status == 401:
        all_headers["WWW-Authenticate"] = "Bearer"
    return Response(
        _written(body), status_code=kind.status, headers=all_headers, media_type=MEDIA_TYPE
    )


def problem_body(
    code: str,
    *,
    detail: str | None = None,
    problems: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Return the RFC 9457 members of an error `code`."""
    kind = PROBLEMS[code]
    body: dict[str, Any] = {
        "type": f"urn:touchstone:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": detail or kind.detail,
    }
    if problems is not None:
        body["problems"] = list(problems)
    return body


def problems_of_request(error: RequestValidationError) -> list[dict[str, str]]:
    """Return pointer, code and detail of each thing that is wrong with a request.

    Values are not repeated, nor what stands in the place of a name and may be a value: both may be
    about a person. The pointer is then to what it stands in.
    """
    found = []
    for item in error.errors():
        where, *path = item["loc"] or ("body",)
        path = list(itertools.takewhile(_is_showable, path))
        pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
        found.append(
            {
                "pointer": pointer if where == "body" else f"{where}:{'.'.join(map(str, path))}",
                "code": str(item["type"]),
                "detail": str(item["msg"]).removeprefix("Value error, "),
            }
        )
    return found


def _written(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # half a character in a name of somebody's file: UTF-8 has none
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _is_showable(step: object) -> bool:
    return isinstance(step, int) or is_showable_name(str(step))
