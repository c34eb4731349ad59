"""`kill -9` of the whole service under load: what was answered is on the record, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import psutil

from service.embedded import EmbeddedServers
from tests.events import event
from tests.http_client import Client
from tests.running import entries, service_process, settings_on
from tests.served import Served

ANSWERS_BEFORE_THE_KILL = 400
CLIENTS = 16


async def test_every_answered_decision_survives(tmp_path: Path) -> None:
    """Every answer that arrived before the kill is in the ledger; no event is there twice."""
    answered: dict[str, str] = {}
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=10_000)
        with service_process(settings, tmp_path / "service.log") as (served, key):
            await asyncio.gather(*(_client(served, key, answered) for _ in range(CLIENTS)))
            assert len(answered) >= ANSWERS_BEFORE_THE_KILL
        events_sent = dict(answered)
        # The next start takes up what the dead workers spooled, and serves.
        with service_process(settings, tmp_path / "service.log") as (served, key):
            async with Client(key, port=served.port) as client:
                for event_id, decision_id in list(events_sent.items())[-20:]:
                    read = await client.get(f"/v1/decisions/{decision_id}")
                    assert (read.status, read.json["event_id"]) == (200, event_id)
                assert (await client.score(event("checkout"))).status == 200
        recorded = await entries(settings)
    by_id = {entry.entry_id.hex(): entry for entry in recorded}
    missing = [decision_id for decision_id in events_sent.values() if decision_id not in by_id]
    assert missing == []
    events = Counter(entry.event_key for entry in recorded)
    assert max(events.values()) == 1


async def _client(served: Served, key: str, answered: dict[str, str]) -> None:
    """Send events one after the other; whoever gets the last answer kills the service."""
    async with Client(key, port=served.port) as client:
        while True:
            sent = event("checkout", user={"id": f"u-{len(answered) % 37}"})
            try:
                answer = await client.score(sent)
            except httpx.TransportError:
                return  # the service is dead
            assert answer.status == 200
            answered[sent["event_id"]] = answer.json["decision_id"]
            if len(answered) == ANSWERS_BEFORE_THE_KILL:
                _kill(served)


def _kill(served: Served) -> None:
    for process in [served.process, *served.process.children(recursive=True)]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
