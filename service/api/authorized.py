"""Who may use a route?

`allowed("rules:write")` as a FastAPI dependency gives the caller, or refuses. Deny by default: a
route without it is open to nobody but those listed in `tests/api`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request

from service.access import Caller
from service.errors import NotAPerson


def allowed(scope: str, *, person: bool = False) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that lets callers with the scope pass; `person`: people only.

    It raises `MissingKey`, `InvalidKey`, `MissingScope`, `KeysUnavailable` and `NotAPerson`.
    """

    async def authorized(request: Request) -> Caller:
        keys = request.app.state.runtime.api_keys
        caller: Caller = await keys.authorize(request.headers.get("authorization"), scope)
        if person and caller.person is None:
            raise NotAPerson
        return caller

    return authorized
