"""How is a body read without letting a caller hang or flood the service?"""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

# A caller that needs longer to send 64 KiB holds a place that others need.
BODY_SECONDS = 5.0


class BodyTooLarge(Exception):
    """The body has more bytes than the limit."""

    code = "body_too_large"


class BodyTooSlow(Exception):
    """The body did not arrive in time, or the caller went away."""

    code = "body_too_slow"


async def read_body(request: Request, limit_bytes: int, seconds: float = BODY_SECONDS) -> bytes:
    """Return the whole body of at most `limit_bytes` bytes; raise `BodyTooLarge`, `BodyTooSlow`."""
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit_bytes:
        raise BodyTooLarge
    try:
        async with asyncio.timeout(seconds):
            chunks: list[bytes] = []
            size = 0
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit_bytes:
                    raise BodyTooLarge
                chunks.append(chunk)
    except (TimeoutError, ClientDisconnect):
        raise BodyTooSlow from None
    return b"".join(chunks)
