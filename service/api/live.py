"""What would a rule set in shadow have done, and what does a candidate do for its share?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from service.access import Caller
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.api.rule_sets import Version, documented, version_of
from service.evidence.rollout_report import RolloutQuestion, RolloutReport
from service.runtime import Runtime
from service.shadow.report import ShadowReport, shadow_report
from service.texts import Moment

router = APIRouter(tags=["rule sets"], route_class=BoundedRoute)

Reader = Annotated[Caller, Depends(allowed("rules:read"))]


@router.get("/v1/rule-sets/{version}/shadow-report", **documented("unknown_rule_set"))
async def read_shadow_report(
    request: Request,
    _: Reader,
    version: Version,
    since: Annotated[Moment | None, Query(description="Whole hours from this on.")] = None,
    until: Annotated[Moment | None, Query(description="Whole hours before this.")] = None,
) -> ShadowReport:
    """Compare what a version in shadow would have decided with what was decided.

    Counted all the time that it was in shadow, a second or so behind the decisions.
    """
    runtime: Runtime = request.app.state.runtime
    async with runtime.actions.connection() as connection:
        found = await version_of(connection, version)
        currency = runtime.settings.shop.base_currency
        return await shadow_report(connection, found, currency, since, until)


@router.get(
    "/v1/rule-sets/{version}/rollout-report",
    **documented("unknown_rule_set", "report_pending", "report_failed"),
)
async def read_rollout_report(request: Request, _: Reader, version: Version) -> RolloutReport:
    """Compare what a candidate decided for its share with what the live version decided.

    Of its last rollout, since the share was last changed, from the recorded decisions; intervals
    take into account that decisions of one subject are alike.
    """
    runtime: Runtime = request.app.state.runtime
    async with runtime.actions.connection() as connection:
        found = await version_of(connection, version)
    return await runtime.rollouts.report(RolloutQuestion(version=found))
