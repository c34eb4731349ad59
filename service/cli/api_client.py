"""How does a command talk to the running service? As anybody else: through the API, with a key.

Invariant: what is refused is one clear error with what the service said of it, every problem on a
line of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

import typer

from service.settings import Settings

KEY_VARIABLE = "TOUCHSTONE_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Where the service is. Default: the one of --var; if there never was one, "
        + DEFAULT_URL,
        show_default=False,
    ),
]
Key = Annotated[
    str,
    typer.Option("--key", help="Your API key", envvar=KEY_VARIABLE, show_default=False),
]


class ApiRefused(Exception):
    """The service refused, or does not answer; the text says why.

    `problem` is the code of what the service refused for.
    """

    code = "api_refused"

    def __init__(self, text: str, problem: str | None = None) -> None:
        self.problem = problem
        super().__init__(text)


class ApiClient:
    """Calls of one command. Paths are relative; names in them go through `path`."""

    def __init__(self, settings: Settings, url: str | None, key: str) -> None:
        self._url = (url or _service_of(settings.var)).rstrip("/")
        if not key:
            raise ApiRefused(
                f"an API key is needed: --key or {KEY_VARIABLE}; `touchstone keys create` makes one"
            )
        self._key = key

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of an answer; raise `ApiRefused`."""
        return json.loads(self.call("GET", path, query=query))

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Send JSON, return JSON; raise `ApiRefused`."""
        return json.loads(self.call("POST", path, body=body, query=query) or "null")

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = "application/json",
        query: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the bytes of an answer. `body`: bytes as they are, anything else as JSON."""
        asked = urlencode({k: v for k, v in (query or {}).items() if v is not None}, doseq=True)
        headers = {}
        raw: bytes | None = None
        if body is not None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = content_type
        with self._asked(method, path + (f"?{asked}" if asked else ""), raw, headers) as response:
            try:
                return response.read()
            except (OSError, HTTPException) as error:
                raise self._away(error) from None

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[HTTPResponse]:
        """Give an answer that is read piece by piece; what breaks while reading is an `OSError`."""
        with self._asked("GET", path, None, headers) as response:
            yield response

    @contextmanager
    def _asked(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[HTTPResponse]:
        parts = urlsplit(self._url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.netloc, timeout=60)
        try:
            try:
                connection.request(
                    method,
                    parts.path + path,
                    raw,
                    {"Authorization": f"Bearer {self._key}", **headers},
                )
                response = connection.getresponse()
                refused = response.read() if response.status >= 400 else None
            except (OSError, HTTPException) as error:
                raise self._away(error) from None
            if refused is not None:
                raise ApiRefused(*_refusal(response, refused))
            yield response
        finally:
            connection.close()

    def _away(self, error: Exception) -> ApiRefused:
        return ApiRefused(
            f"nothing answers at {self._url} ({error}): start `touchstone serve`, or give --url"
        )


def path(*parts: str) -> str:
    """Return a path of parts that may hold anything.

    >>> path("v1", "lists", "a/b")
    '/v1/lists/a%2Fb'
    """
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _service_of(var: Path) -> str:
    """Return where the service of this directory is; a key is shown to no other one."""
    state = var / "run" / "service.json"
    try:
        return str(json.loads(state.read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        if state.parent.is_dir():
            raise ApiRefused(
                f"no service runs on {var}: start `touchstone serve --var {var}`, or give --url"
            ) from None
        return DEFAULT_URL


def _refusal(response: HTTPResponse, answer: bytes) -> tuple[str, str | None]:
    """Return what the service said, and the code of it."""
    try:
        problem = json.loads(answer)
        lines = [f"{problem['title']}. {problem['detail']}"]
        lines += [
            f"  {item['pointer'] or '/'}: {item['detail']}"
            for item in problem.get("problems") or ()
        ]
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status} {response.reason}", None
    return "\n".join(lines), problem.get("code")
