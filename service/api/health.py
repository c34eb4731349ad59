"""Is the service alive, is it ready, and what does it measure?"""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api import openapi
from service.runtime import Runtime

router = APIRouter(tags=["operate"])


@router.get("/livez", **openapi.LIVE)
async def livez() -> Response:
    """Answer as long as the process runs; asks nothing of any resource."""
    return Response(b'{"live":true}', media_type="application/json")


@router.get("/readyz", **openapi.READY)
async def readyz(request: Request) -> Response:
    """Ping each resource once; 200 when events can be answered on the record, else 503."""
    runtime: Runtime = request.app.state.runtime
    states = await runtime.resources()
    ready = states["ledger"]["ok"]
    return Response(
        orjson.dumps({"ready": ready, "resources": states}),
        status_code=200 if ready else 503,
        media_type="application/json",
    )


@router.get("/metrics", **openapi.METRICS)
async def metrics(request: Request) -> Response:
    """Return the metrics of all workers in the Prometheus text format."""
    runtime: Runtime = request.app.state.runtime
    runtime.observe_spool()
    return Response(runtime.metrics.render(), media_type=runtime.metrics.content_type)
