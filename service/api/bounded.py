"""How large may the body of an administrative call be, and who may send one?

FastAPI reads a body whole before anything else. A `BoundedRoute` first knows the key, then reads no
more than the route's limit: a stranger's bytes never fill the memory of a service that decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from service.api.authorized import known
from service.api.body import read_body

BODY_SECONDS = 30.0


class BoundedRoute(APIRoute):
    """A route for holders of a good key, with bodies of at most `most_bytes`."""

    most_bytes = 1 << 20

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # FastAPI says Coroutine
        """Return FastAPI's handler behind the two checks."""
        handle = super().get_route_handler()
        if self.body_field is None:  # FastAPI reads none; an import reads its own
            return handle

        async def bounded(request: Request) -> Response:
            await known(request)
            body = await read_body(request, self.most_bytes, BODY_SECONDS)

            async def receive() -> MutableMapping[str, Any]:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handle(Request(request.scope, receive))

        return bounded


class RuleSetRoute(BoundedRoute):
    """A route that takes a whole rule set: 4 MB of files, as JSON escapes them."""

    most_bytes = 8 << 20
