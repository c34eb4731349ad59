"""Which calls take an event? `POST /v1/score` decides it, `POST /v1/events` only counts it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from features.event import Event, parse_event
from service.api import openapi
from service.api.body import read_body
from service.api.direct import DirectRoute
from service.clock import monotonic
from service.decider import Decider
from service.runtime import Runtime

router = APIRouter(tags=["decide"], route_class=DirectRoute)


@router.post("/v1/score", **openapi.SCORE)
async def score(request: Request) -> Response:
    """Decide whether an event may go ahead, and record the decision.

    The same `event_id` with the same body gets the first answer again and is counted once; with
    another body it is refused with 409. The answer never takes longer than the time budget.
    """
    return await _answered(request, "score", Decider.decide, 200)


@router.post("/v1/events", **openapi.EVENTS)
async def take_event(request: Request) -> Response:
    """Count and record an event that needs no decision, such as a login that failed.

    It teaches the velocities that later decisions see. Idempotent as `/v1/score` is.
    """
    return await _answered(request, "events:write", Decider.learn, 202)


async def _answered(
    request: Request,
    scope: str,
    act: Callable[[Decider, Event, float], Awaitable[bytes]],
    status: int,
) -> Response:
    started = monotonic()
    runtime: Runtime = request.app.state.runtime
    caller = await runtime.api_keys.authorize(request.headers.get("authorization"), scope)
    with runtime.gate:
        body = await read_body(request, runtime.settings.http.max_body_bytes)
        event = parse_event(body, runtime.brain.currencies)
        caller.limits.allow_event(event.type, event.business_line, event.region)
        async with asyncio.timeout_at(
            asyncio.get_running_loop().time() + runtime.settings.http.budget_ms / 1000
        ):
            answer = await act(runtime.decider, event, started)
    return Response(answer, status_code=status, media_type="application/json")
