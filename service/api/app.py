"""What does the HTTP service consist of?

The app factory: routes, the one way from an error to its answer, and the life of the runtime that
`service/bootstrap.py` builds. Nothing is built at import.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.event import InvalidEvent
from service.api import decisions, health, score
from service.api.openapi import describe
from service.api.problems import PROBLEMS, problem_response
from service.bootstrap import bootstrap
from service.settings import Settings
from service.access import AccessDenied
from service.api.body import BodyTooLarge, BodyTooSlow
from service.errors import DecisionError
from service.ledger.errors import LedgerError

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the ASGI app; its lifespan starts and stops everything that it needs."""
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with bootstrap(chosen) as runtime:
            app.state.runtime = runtime
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None)
    for module in (score, decisions, health):
        app.include_router(module.router)
    for kind in (DecisionError, LedgerError, AccessDenied, BodyTooLarge, BodyTooSlow):
        app.add_exception_handler(kind, _coded)
    app.add_exception_handler(InvalidEvent, _invalid)
    app.add_exception_handler(TimeoutError, _out_of_time)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)
    describe(app)
    return app


def _answer(request: Request, code: str, problems: list[dict[str, str]] | None = None) -> Response:
    request.app.state.runtime.metrics.problems.labels(code).inc()
    return problem_response(code, problems=problems)


async def _coded(request: Request, error: Exception) -> Response:
    code = getattr(error, "code", "internal_error")
    return _answer(request, code if code in PROBLEMS else "internal_error")


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidEvent)
    return _answer(
        request,
        "invalid_event",
        [
            {"pointer": problem.pointer, "code": problem.code, "detail": problem.detail}
            for problem in error.problems
        ],
    )


async def _out_of_time(request: Request, error: Exception) -> Response:
    return _answer(request, "out_of_time")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(request, _HTTP_CODES.get(error.status_code, "internal_error"))


async def _internal(request: Request, error: Exception) -> Response:
    return _answer(request, "internal_error")
