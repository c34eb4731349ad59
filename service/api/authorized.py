"""Who may use a route?

`allowed("rules:write")` as a FastAPI dependency gives the caller, or refuses; `known` lets every
good key pass. Deny by default: a route without one is open to nobody but those listed in
`tests/api`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request

from service.access import ApiKeys, Caller
from service.errors import NotAPerson


def allowed(scope: str, *, person: bool = False) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that lets callers with the scope pass; `person`: people only.

    It raises `MissingKey`, `InvalidKey`, `MissingScope`, `KeysUnavailable` and `NotAPerson`.
    """

    async def authorized(request: Request) -> Caller:
        caller = await _keys(request).authorize(request.headers.get("authorization"), scope)
        if person and caller.person is None:
            raise NotAPerson
        return caller

    return authorized


async def known(request: Request) -> Caller:
    """Return who has a good key, whatever it allows.

    Raises `MissingKey`, `InvalidKey` and `KeysUnavailable`.
    """
    return await _keys(request).authenticate(request.headers.get("authorization"))


def _keys(request: Request) -> ApiKeys:
    keys: ApiKeys = request.app.state.runtime.api_keys
    return keys
