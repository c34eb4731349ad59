"""What does the HTTP service consist of?

The app factory: routes, the one way from an error to its answer, and the life of the runtime that
`service/bootstrap.py` builds. Nothing is built at import.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.event import InvalidEvent
from service.access import AccessDenied, MissingScope
from service.api import (
    audit_checkpoints,
    audit_explanations,
    audit_exports,
    audit_proofs,
    audit_rights,
    audit_search,
    backtests,
    collector,
    decisions,
    health,
    labels,
    lists,
    live,
    people,
    performance,
    rule_lifecycle,
    rule_sets,
    rule_stops,
    score,
)
from service.api.body import BodyTooLarge, BodyTooSlow
from service.api.openapi import describe
from service.api.problems import PROBLEMS, problem_response, problems_of_request
from service.bootstrap import bootstrap
from service.errors import DecisionError, Refused
from service.ledger.errors import LedgerError
from service.settings import Settings

_CODED = (DecisionError, LedgerError, AccessDenied, BodyTooLarge, BodyTooSlow)
# FastAPI's 400 is a body that its reader of JSON gave up on: too deep, too long a number, no UTF-8.
_HTTP_CODES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed"}
_UNREADABLE = {"pointer": "", "code": "json_invalid", "detail": "The body cannot be read as JSON."}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the ASGI app; its lifespan starts and stops everything that it needs."""
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with bootstrap(chosen) as runtime:
            app.state.runtime = runtime
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None)
    for module in (
        score, decisions, collector, health, people, lists, labels, performance, rule_sets,
        rule_lifecycle, rule_stops, backtests, live, audit_checkpoints, audit_exports,
        audit_rights, audit_search, audit_explanations, audit_proofs,
    ):  # fmt: skip
        app.router.routes.extend(module.router.routes)
    for kind in (
        *_CODED, Refused, InvalidEvent, RequestValidationError, TimeoutError, HTTPException,
        Exception,
    ):  # fmt: skip
        app.add_exception_handler(kind, _refuse)
    describe(app)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    code = _code_of(error)
    request.app.state.runtime.metrics.problems.labels(code).inc()
    if isinstance(error, InvalidEvent):
        return problem_response(code, problems=[entry._asdict() for entry in error.problems])
    if isinstance(error, RequestValidationError):
        return problem_response(code, problems=problems_of_request(error))
    if isinstance(error, HTTPException) and error.status_code == 400:
        return problem_response(code, problems=[_UNREADABLE])
    if isinstance(error, Refused):
        return problem_response(code, detail=error.detail, problems=error.problems)
    if isinstance(error, MissingScope):
        detail = f"This call needs the scope {error.scope}: use a key that has it."
        return problem_response(code, detail=detail)
    return problem_response(code)


def _code_of(error: Exception) -> str:
    if isinstance(error, InvalidEvent):
        return "invalid_event"
    if isinstance(error, RequestValidationError):
        return "invalid_request"
    if isinstance(error, TimeoutError):
        return "out_of_time"
    if isinstance(error, HTTPException):
        return _HTTP_CODES.get(error.status_code, "internal_error")
    if isinstance(error, (*_CODED, Refused)) and error.code in PROBLEMS:
        return error.code
    return "internal_error"
