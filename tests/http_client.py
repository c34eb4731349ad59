"""A small HTTP client for tests against a running service: keep-alive, JSON, many at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of one answer."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.content)


class Client:
    """Talks to one service with one key; use as an async context manager."""

    def __init__(
        self,
        key: str | None,
        *,
        port: int = 80,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers=headers,
            timeout=30,
            limits=httpx.Limits(max_connections=64),
            trust_env=False,
            transport=transport,
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def score(self, event: dict[str, Any], path: str = "/v1/score") -> Answer:
        """Post one event."""
        return _answer(await self._http.post(path, json=event))

    async def post(
        self, path: str, content: bytes | AsyncIterator[bytes], headers: dict[str, str]
    ) -> Answer:
        """Post raw bytes."""
        return _answer(await self._http.post(path, content=content, headers=headers))

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Get one path."""
        return _answer(await self._http.get(path, headers=headers))

    async def score_all(self, events: list[dict[str, Any]]) -> list[Answer]:
        """Post all events at the same moment."""
        return await asyncio.gather(*(self.score(event) for event in events))


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, dict(response.headers), response.content)
