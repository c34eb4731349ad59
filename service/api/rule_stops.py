"""How is a rule stopped in an emergency? By one person at once; a second confirms within a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from service.access import Caller
from service.api.authorized import allowed
from service.api.bounded import BoundedRoute
from service.api.rule_lifecycle_models import RuleId, StopAnswer, StopBody
from service.api.rule_sets import Reader, documented, runtime_of
from service.rule_sets.drafts import ScopeOfRule
from service.rule_sets.stopping import confirm, lift, stop, stop_history
from service.runtime import Runtime

router = APIRouter(tags=["rule sets"], route_class=BoundedRoute)

Stopper = Annotated[Caller, Depends(allowed("rules:stop", person=True))]
Rule = Annotated[RuleId, Path()]


@router.get("/v1/rule-stops", **documented())
async def list_stops(
    request: Request, _: Reader, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[StopAnswer]:
    """List the emergency stops, newest first."""
    async with runtime_of(request).actions.connection() as connection:
        found = await stop_history(connection, limit)
    now = datetime.now(UTC)
    return [StopAnswer.of(one, now) for one in found]


@router.post(
    "/v1/rule-stops",
    status_code=201,
    **documented("unknown_rule", "own_work", "outside_limits"),
)
async def stop_rule(request: Request, caller: Stopper, body: StopBody) -> StopAnswer:
    """Take the effect from a rule within a second, in whatever version runs.

    A second person confirms within TOUCHSTONE_RULES__CONFIRM_STOP_MINUTES, or it lapses.
    """
    runtime = runtime_of(request)
    _allow(runtime, caller, body.rule)
    who = {**caller.who, "reason": body.reason}
    async with runtime.actions.action("rules.stop", who, rule=body.rule) as action:
        found = await stop(
            action.connection,
            body.rule,
            actor=caller.actor,
            reason=body.reason,
            confirm_within=timedelta(minutes=runtime.settings.rules.confirm_stop_minutes),
        )
        action.what |= {"stop": found.id, "confirm_until": found.confirm_until}
    return StopAnswer.of(found, datetime.now(UTC))


@router.post(
    "/v1/rule-stops/{rule}/confirm", **documented("unknown_rule", "own_work", "outside_limits")
)
async def confirm_stop(request: Request, caller: Stopper, rule: Rule) -> StopAnswer:
    """Confirm what somebody else stopped: it holds until it is lifted."""
    runtime = runtime_of(request)
    _allow(runtime, caller, rule)
    async with runtime.actions.action("rules.stop_confirm", caller.who, rule=rule) as action:
        found = await confirm(action.connection, rule, actor=caller.actor)
        action.what["stop"] = found.id
    return StopAnswer.of(found, datetime.now(UTC))


@router.post(
    "/v1/rule-stops/{rule}/lift", **documented("unknown_rule", "own_work", "outside_limits")
)
async def lift_stop(request: Request, caller: Stopper, rule: Rule) -> StopAnswer:
    """Let a stopped rule have its effect again."""
    runtime = runtime_of(request)
    _allow(runtime, caller, rule)
    async with runtime.actions.action("rules.stop_lift", caller.who, rule=rule) as action:
        found = await lift(action.connection, rule, actor=caller.actor)
        action.what["stop"] = found.id
    return StopAnswer.of(found, datetime.now(UTC))


def _allow(runtime: Runtime, caller: Caller, rule_id: str) -> None:
    """Raise `OutsideLimits` unless the rule, in what decides, is within the limits."""
    if caller.limits.is_everything:
        return
    brain = runtime.brain
    running = [brain.live] if brain.rollout is None else [brain.live, brain.rollout.ruling]
    caller.limits.allow_rules(
        ScopeOfRule(rule.id, rule.event_types, rule.business_lines, rule.regions)
        for ruling in running
        for rule in ruling.engine.ruleset.rules
        if rule.id == rule_id
    )
