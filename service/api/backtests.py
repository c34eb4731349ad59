"""What would a rule set have decided? Backtests: asked for, followed, cancelled, read.

A backtest is a job that a worker runs beside the service. Whoever asks for one or cancels one is on
record, and so is the digest of its result.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.access import Caller
from service.api import openapi
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.api.rule_sets import Version, version_of
from service.backtest.jobs import (
    Job,
    add_job,
    ask_to_cancel,
    jobs_of,
    read_job,
    read_result,
)
from service.backtest.page import page
from service.backtest.request import BacktestRequest
from service.rule_sets.status import status_of
from service.runtime import Runtime

router = APIRouter(tags=["backtests"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("rules:read"))]
Writer = Annotated[Caller, Depends(allowed("rules:write", person=True))]
MOST_LISTED = 100


class BacktestBody(BacktestRequest):
    """What to compare with, and over which decisions."""

    baseline: Annotated[str, Field(max_length=64)] = Field(
        "live", description="A prefix of a version, `live`, `previous` or `latest`"
    )


class BacktestAnswer(BaseModel):
    """A backtest as a job. `done` of `total` entries of the ledger have been read."""

    id: UUID
    version: str
    baseline: str
    catalog: str
    state: str = Field(description="queued, running, done, failed or cancelled")
    done: int
    total: int | None
    error: str | None
    actor: str
    since: datetime
    until: datetime
    labels_as_of: datetime
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> BacktestAnswer:
        return cls(
            id=job.id,
            version=job.version,
            baseline=job.baseline,
            catalog=job.catalog,
            state=job.state,
            done=job.done,
            total=job.total,
            error=job.error,
            actor=job.actor,
            since=_time(job.request["since_ms"]),
            until=_time(job.request["until_ms"] + 1),
            labels_as_of=datetime.fromisoformat(job.request["labels_as_of"]),
            created_at=job.created_at,
            ended_at=job.ended_at,
        )


def _documented(*more: str, **extra: Any) -> dict[str, Any]:
    return {
        "responses": openapi.problems(
            *openapi.ADMIN_PROBLEMS, "body_too_large", "body_too_slow", *more
        ),
        "openapi_extra": {"security": [{"api_key": []}]},
        **extra,
    }


@router.post(
    "/v1/rule-sets/{version}/backtests",
    **_documented(
        "unknown_rule_set", "wrong_state", "rule_set_invalid", "too_many_backtests", status_code=202
    ),
)
async def start_backtest(
    request: Request, caller: Writer, version: Version, body: BacktestBody
) -> BacktestAnswer:
    """Queue a backtest of a version over recorded decisions; one runs at a time."""
    runtime = _runtime(request)
    async with runtime.actions.connection() as connection:
        found = await version_of(connection, version)
        status = await status_of(connection, runtime.examiner, found)
        baseline = await version_of(connection, body.baseline)
    async with runtime.actions.action("rules.backtest", caller.who) as action:
        job = Job(
            id=uuid4(),
            version=found,
            baseline=baseline,
            catalog=status.catalog,
            request=body.settled(datetime.now(UTC)),
            state="queued",
            done=0,
            total=None,
            is_cancelled=False,
            error=None,
            actor=caller.actor,
            created_at=datetime.now(UTC),
            ended_at=None,
        )
        await add_job(action.connection, job)
        action.versions = {"rule_set": found, "catalog": status.catalog}
        action.what |= {"backtest": job.id, "baseline": baseline, "request": job.request}
    return BacktestAnswer.of(job)


@router.get("/v1/rule-sets/{version}/backtests", **_documented("unknown_rule_set", "wrong_state"))
async def read_backtests(request: Request, _: Reader, version: Version) -> list[BacktestAnswer]:
    """List the backtests of a version, the newest first."""
    async with _runtime(request).actions.connection() as connection:
        found = await jobs_of(connection, await version_of(connection, version), MOST_LISTED)
    return [BacktestAnswer.of(job) for job in found]


@router.get("/v1/backtests/{backtest_id}", **_documented("unknown_backtest"))
async def read_backtest(request: Request, _: Reader, backtest_id: UUID) -> BacktestAnswer:
    """Tell how far a backtest is, or how it ended."""
    async with _runtime(request).actions.connection() as connection:
        return BacktestAnswer.of(await read_job(connection, backtest_id))


@router.post("/v1/backtests/{backtest_id}/cancel", **_documented("unknown_backtest"))
async def cancel_backtest(request: Request, caller: Writer, backtest_id: UUID) -> BacktestAnswer:
    """Cancel a backtest; one that has ended stays as it ended."""
    action_of = _runtime(request).actions.action
    async with action_of("rules.backtest_cancel", caller.who, backtest=str(backtest_id)) as action:
        job = await ask_to_cancel(action.connection, backtest_id)
        action.what["state"] = job.state
    return BacktestAnswer.of(job)


@router.get(
    "/v1/backtests/{backtest_id}/result",
    **_documented("unknown_backtest", "no_result", response_class=Response),
)
async def read_backtest_result(request: Request, _: Reader, backtest_id: UUID) -> Response:
    """Return the result as JSON; `service/backtest/README.md` describes it."""
    async with _runtime(request).actions.connection() as connection:
        result = await read_result(connection, backtest_id)
    return Response(orjson.dumps(result), media_type="application/json")


@router.get(
    "/v1/backtests/{backtest_id}/report",
    **_documented("unknown_backtest", "no_result", response_class=Response),
)
async def read_backtest_report(
    request: Request,
    _: Reader,
    backtest_id: UUID,
    lang: Annotated[Literal["en", "zh"], Query(description="Language of the report")] = "en",
) -> Response:
    """Return the report as one HTML page with plots and without scripts."""
    async with _runtime(request).actions.connection() as connection:
        result = await read_result(connection, backtest_id)
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    html = await asyncio.to_thread(page, result, lang)
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
