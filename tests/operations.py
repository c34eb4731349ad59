"""What can be asked of the app? Every method of every route, out of the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from service.api.app import create_app
from service.settings import Settings

# Browsers, load balancers and monitoring have no key; anybody may read what the API is.
OPEN = {
    "/openapi.json",
    "/livez",
    "/readyz",
    "/metrics",
    "/v1/collector.js",
    "/v1/collector/token",
}
# Whose key it is, and which roles there are: for every good key.
ANY_KEY = {"/v1/me", "/v1/roles"}

_GOOD: Mapping[str, str] = {
    "version": "live",
    "name": "planted",
    "decision": "approve",
    "request_id": "999999",
    "export_id": "00000000-0000-0000-0000-000000000000",
    "backtest_id": "00000000-0000-0000-0000-000000000000",
    "decision_id": "0" * 32,
}


class Operation(NamedTuple):
    """One method of one route; `document` is what OpenAPI says of it."""

    method: str
    path: str
    document: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[Mapping[str, Any]]:
        """Those of the query."""
        return [one for one in self.document.get("parameters", ()) if one["in"] == "query"]

    @property
    def placeholders(self) -> list[str]:
        """The names of what stands in the path."""
        return re.findall(r"{(\w+)", self.path)

    def url(self) -> str:
        """Return the path with plausible values."""
        return re.sub(r"{(\w+)}", lambda found: self.good(found[1]), self.path)

    @staticmethod
    def good(name: str) -> str:
        """Return a plausible value of what stands in the path."""
        return _GOOD.get(name, "nothing")

    @property
    def body(self) -> Mapping[str, Any] | None:
        """What OpenAPI says of the body, by media type."""
        content = self.document.get("requestBody", {}).get("content")
        return None if content is None else dict(content)


def operations() -> tuple[list[Operation], Mapping[str, Any]]:
    """Return every operation of the app that is not open, and the schemas of the document.

    A route of a kind that is not known here fails: nobody would see who may use it.
    """
    app = create_app(Settings())
    document = app.openapi()
    found = []
    for route in app.routes:
        path = _path(route)
        if path in OPEN:
            continue
        assert isinstance(route, APIRoute), f"{route} is of a kind that these tests do not know"
        for method in sorted(route.methods):
            said = document["paths"].get(path, {}).get(method.lower(), {})
            found.append(Operation(method, path, said))
    return found, document["components"]["schemas"]


def _path(route: BaseRoute) -> str:
    return str(getattr(route, "path", route))
