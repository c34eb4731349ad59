"""How is a decision read back? From the sealed record, never from a cache."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api import openapi
from service.errors import UnknownDecision
from service.runtime import Runtime

router = APIRouter(tags=["decisions"])


@router.get("/v1/decisions/{decision_id}", **openapi.DECISION)
async def read_decision(request: Request, decision_id: str) -> Response:
    """Return a recorded decision as it was answered."""
    runtime: Runtime = request.app.state.runtime
    await runtime.api_keys.authorize(request.headers.get("authorization"), "decisions:read")
    try:
        entry_id = bytes.fromhex(decision_id)
    except ValueError:
        raise UnknownDecision from None
    answer = await runtime.record.decision(entry_id)
    if answer is None:
        raise UnknownDecision
    return Response(orjson.dumps(answer), media_type="application/json")
