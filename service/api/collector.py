"""What does a browser ask for? The collector script, and a token to sign a fingerprint with.

Both are public: a browser has no API key. A token costs microseconds, is kept nowhere, and is good
for nothing but the signature of one fingerprint.
"""

from __future__ import annotations

import secrets
import time

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from features.collector.script import collector_script
from features.collector.tokens import NONCE_BYTES, TOKEN_SECONDS
from service.api import openapi
from service.api.direct import DirectRoute
from service.errors import TooManyTokens
from service.runtime import Runtime

router = APIRouter(tags=["collect"], route_class=DirectRoute)
_YEAR_SECONDS = 365 * 24 * 3600


@router.get("/v1/collector.js", **openapi.COLLECTOR)
async def script(request: Request) -> Response:
    """Return the collector script.

    With `?v=` and its version it may be cached for ever; without, the browser asks each time.
    """
    file = collector_script()
    is_pinned = request.query_params.get("v") == file.version
    headers = {
        "Cache-Control": f"public, max-age={_YEAR_SECONDS}, immutable" if is_pinned else "no-cache",
        "ETag": f'"{file.version}"',
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        # A page of another origin needs both to load it with an `integrity` attribute.
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if file.version in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.content, headers=headers, media_type="text/javascript")
    headers["Content-Encoding"] = "gzip"
    return Response(file.gzipped, headers=headers, media_type="text/javascript")


@router.get("/v1/collector/token", **openapi.COLLECTOR_TOKEN)
async def token(request: Request) -> Response:
    """Return a token that signs one fingerprint within 15 minutes.

    Pages of other origins can read it only when the settings name their origin.
    """
    runtime: Runtime = request.app.state.runtime
    if not runtime.token_rate.allows():
        raise TooManyTokens
    headers = {"Cache-Control": "no-store", "Vary": "Origin"}
    origin = request.headers.get("origin")
    if origin is not None and origin in runtime.settings.collector.origins:
        headers["Access-Control-Allow-Origin"] = origin
    made = runtime.token_key.issue(time.time_ns() // 1_000_000, secrets.token_bytes(NONCE_BYTES))
    body = {"token": made, "expires_in_seconds": TOKEN_SECONDS}
    return Response(orjson.dumps(body), headers=headers, media_type="application/json")
