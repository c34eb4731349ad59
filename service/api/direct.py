"""How does a hot endpoint skip what it does not use?

FastAPI's route solves dependencies and opens exit stacks for every call: a tenth of a decision's
CPU, for endpoints that take the request and return the response themselves. A `DirectRoute` is
documented like any other and called directly. Errors still go through the app's handlers.
"""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """A route whose endpoint is `async (Request) -> Response`, without dependencies."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # 405, as for every other route
            return
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
