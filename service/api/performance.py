"""How do the rules do over time? Hits, precision, recall, money, false alarms, and what drifts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from service.access import Caller
from service.api import openapi
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.evidence.performance_report import PerformanceQuestion, PerformanceReport
from service.runtime import Runtime

router = APIRouter(tags=["rules"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("rules:read"))]
MOST_DAYS = 90


def _documented(*more: str) -> dict[str, Any]:
    return {
        "responses": openapi.problems(*openapi.ADMIN_PROBLEMS, *more),
        "openapi_extra": {"security": [{"api_key": []}]},
    }


@router.get("/v1/rules/performance", **_documented("report_pending", "report_failed"))
async def read_performance(
    request: Request,
    _: Reader,
    days: Annotated[int, Query(ge=1, le=MOST_DAYS, description="How far back.")] = 30,
    recent_hours: Annotated[
        int, Query(ge=1, le=24 * 30, description="What is compared with the time before it.")
    ] = 24,
    rule: Annotated[
        str | None, Query(pattern="^[a-z0-9][a-z0-9-]{0,80}$", description="Only this one.")
    ] = None,
) -> PerformanceReport:
    """Say how each rule did; those that went silent or suddenly fire come first."""
    runtime: Runtime = request.app.state.runtime
    question = PerformanceQuestion(
        live=runtime.brain.live.version, days=days, recent_hours=min(recent_hours, 24 * days)
    )
    found = await runtime.performance.report(question)
    if rule is None:
        return found
    return found.model_copy(update={"rules": [one for one in found.rules if one.rule_id == rule]})
