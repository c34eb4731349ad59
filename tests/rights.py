"""Two people of compliance and their requests about persons, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import redis

from service.api_key import KeyHash
from service.secrets_files import read_keys
from service.settings import Settings
from tests.http_client import Answer, Client
from tests.people import person_key
from tests.running import Here

PURPOSE = "case 4711"
LOOK_SECONDS = 0.1
Identifiers = Mapping[str, str]


@dataclass(frozen=True)
class Desks:
    """Clients of two people of compliance, and of a program that only scores."""

    asks: Client
    decides: Client

    async def ask(self, identifiers: Identifiers, path: str = "/v1/audit/erasures") -> Answer:
        """Ask for something about a person, kind to value."""
        return await self.asks.score(
            {"identifiers": identifiers_of(identifiers), "purpose": PURPOSE}, path
        )

    async def decide(self, request_id: int, verb: str, *, alone: bool = False) -> Answer:
        """Execute, refuse or lift, by the other person unless `alone`."""
        desk = self.asks if alone else self.decides
        path = f"/v1/audit/rights-requests/{request_id}/{verb}"
        return await desk.score({"purpose": "as asked"}, path)

    async def erase(self, *persons: Identifiers) -> list[int]:
        """Erase persons, and return when they are erased."""
        requests = []
        for person in persons:
            asked = await self.ask(person)
            assert asked.status == 201, asked.content
            requests.append(asked.json["id"])
        for request_id in requests:
            begun = await self.decide(request_id, "execute")
            assert begun.status == 202, begun.content
        await self.wait_for(requests)
        return requests

    async def wait_for(self, requests: Sequence[int], seconds: float = 60) -> None:
        """Return when all requests are executed."""
        for request_id in requests:
            for _ in range(int(seconds / LOOK_SECONDS)):
                if await self._is_executed(request_id):
                    break
                await asyncio.sleep(LOOK_SECONDS)
            else:
                raise TimeoutError(f"request {request_id} is not executed")

    async def _is_executed(self, request_id: int) -> bool:
        answer = await self.asks.get(f"/v1/audit/rights-requests/{request_id}")
        return bool(answer.json["state"] == "executed")

    async def held(self, identifiers: Identifiers, **more: Any) -> Answer:
        """Ask what is held about a person."""
        body = {"identifiers": identifiers_of(identifiers), "purpose": PURPOSE, **more}
        return await self.asks.score(body, "/v1/audit/subjects/export")


@asynccontextmanager
async def desks_of(here: Here) -> AsyncIterator[Desks]:
    """Let two people of compliance in."""
    keys = await compliance_keys(here.settings)
    await asyncio.sleep(0.1)
    async with (
        Client(keys[0], transport=here.transport) as one,
        Client(keys[1], transport=here.transport) as other,
    ):
        yield Desks(one, other)


async def compliance_keys(settings: Settings) -> list[str]:
    """Return the keys of two people of compliance: who asks, and who decides."""
    connection = await asyncpg.connect(settings.postgres.url)
    hashed = KeyHash(read_keys(settings).tag)
    try:
        return [
            await person_key(connection, hashed, person, "compliance")
            for person in ("asker", "decider")
        ]
    finally:
        await connection.close()


def identifiers_of(identifiers: Identifiers) -> list[dict[str, str]]:
    """Return the identifiers as a body has them."""
    return [{"kind": kind, "value": value} for kind, value in identifiers.items()]


async def rows(settings: Settings, query: str, *arguments: object) -> list[Any]:
    """Return what a query finds in the database of a service."""
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        found: list[Any] = await connection.fetch(query, *arguments)
        return found
    finally:
        await connection.close()


def valkey_dump(settings: Settings) -> dict[bytes, bytes]:
    """Return every key of the velocity store with what it holds."""
    assert settings.valkey.url is not None
    with redis.Redis.from_url(settings.valkey.url.replace("valkey://", "redis://")) as client:
        dump = {}
        for key in client.scan_iter(count=1000):
            kind = client.type(key)
            if kind == b"zset":
                dump[key] = repr(client.zrange(key, 0, -1, withscores=True)).encode()
            elif kind == b"hash":
                dump[key] = repr(client.hgetall(key)).encode()
            elif kind == b"string":
                dump[key] = client.get(key) or b""
        return dump
