"""A service for tests of exports: with a record that is signed, and people who export it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from service.api_key import KeyHash
from service.embedded import EmbeddedServers
from service.secrets_files import read_keys
from tests.http_client import Client
from tests.integration.ledger_cases import draft
from tests.keeping import checkpointed
from tests.packages import signing
from tests.people import person_key
from tests.running import Here, service_here, settings_on

ROLES = {"cora": "compliance", "carl": "compliance", "audrey": "auditor", "ann": "analyst"}
ENDED = ("ready", "failed", "cancelled", "expired")
PERSON = "user:5bd1f0"


@dataclass
class Record:
    """A service, a client of each person, and the database."""

    here: Here
    clients: dict[str, Client]
    database: Any
    dsn: str
    signer: Path
    entries: int

    async def requested(self, who: str, **body: Any) -> dict[str, Any]:
        """Ask for an export that must be taken."""
        answer = await self.clients[who].score({"purpose": "audit", **body}, "/v1/audit/exports")
        assert answer.status == 201, answer.content
        export: dict[str, Any] = answer.json
        return export

    async def post(self, who: str, export: dict[str, Any], step: str, **body: Any) -> Any:
        """Take a step with an export."""
        return await self.clients[who].score(body, f"/v1/audit/exports/{export['id']}/{step}")

    async def ended(self, export: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
        """Wait until nothing is done for an export any more."""
        async with asyncio.timeout(seconds):
            while (found := await self.read(export))["state"] not in ENDED:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return found

    async def read(self, export: dict[str, Any]) -> dict[str, Any]:
        """Return an export as it is."""
        found: dict[str, Any] = (
            await self.clients["cora"].get(f"/v1/audit/exports/{export['id']}")
        ).json
        return found

    async def ready(self, who: str = "cora", by: str = "carl", **body: Any) -> dict[str, Any]:
        """Have an export requested, approved and built."""
        export = await self.requested(who, **body)
        assert (await self.post(by, export, "approve")).status == 200
        export = await self.ended(export)
        assert export["state"] == "ready", export
        return export


@asynccontextmanager
async def recorded(
    servers: EmbeddedServers, dsn: str, base: Path, *, entries: int = 30, **more: Any
) -> AsyncIterator[Record]:
    """Run a service whose record has some signed entries."""
    settings = settings_on(servers, base, patient_ms=5000, **more)
    settings = settings.model_copy(
        update={"postgres": settings.postgres.model_copy(update={"url": dsn})}
    )
    database = await asyncpg.connect(dsn)
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(service_here(settings))
        hashed = KeyHash(read_keys(settings).tag)
        clients = {}
        for person, role in ROLES.items():
            key = await person_key(database, hashed, person, role)
            clients[person] = await stack.enter_async_context(Client(key, transport=here.transport))
        for number in range(entries):
            entry = draft(f"event-{number}", person=f"{PERSON}{number % 7}")
            await here.runtime.ledger.append(entry, timeout_s=5)
        log, signer = settings.ledger.log_name, base / "signer"
        await checkpointed(dsn, signer, log)
        await stack.enter_async_context(signing(signer, dsn, log))
        size = await database.fetchval("SELECT size FROM ledger_tree")
        try:
            yield Record(here, clients, database, dsn, signer, size)
        finally:
            await database.close()
