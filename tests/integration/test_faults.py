"""What callers get while Valkey or PostgreSQL is away, and what is there when they are back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest_asyncio

from service.embedded import EmbeddedServers
from service.embedded.process import ServerProcess
from tests.events import event
from tests.running import Here, entries, service_here, settings_on

# The budget is 150 ms; a loaded test machine gets four times that before we call it hung.
NEVER_LONGER_SECONDS = 0.6
BACK_SECONDS = 10.0


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedServers, Here]]:
    """A service in this process, on servers that the test may stop; a spool of 64 KiB."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, ledger={"spool_max_bytes": 65_536})
        async with service_here(settings) as here:
            yield servers, here


@contextmanager
def frozen(server: ServerProcess | None) -> Iterator[None]:
    """Stop a server's process without ending it: connections stay open, nothing answers."""
    assert server is not None
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def test_valkey_gone(place: tuple[EmbeddedServers, Here]) -> None:
    """Without Valkey: 200 and `degraded`, each event still once; with it again: whole."""
    servers, here = place
    assert servers.valkey is not None
    assert (await here.client.score(event("login"))).json["degraded"] == []
    servers.valkey.kill()
    repeated = event("login")
    answers = [await here.client.score(repeated) for _ in range(3)]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json["degraded"] == ["velocity"]
    servers.valkey.start()
    await _until_whole(here)


async def test_valkey_hangs(place: tuple[EmbeddedServers, Here]) -> None:
    """A Valkey that accepts and never answers costs its budget, not the decision."""
    servers, here = place
    await here.client.score(event("login"))
    with frozen(servers.valkey):
        started = time.monotonic()
        answer = await here.client.score(event("login"))
        elapsed = time.monotonic() - started
    assert answer.status == 200
    assert answer.json["degraded"] == ["velocity"]
    assert elapsed < NEVER_LONGER_SECONDS
    await _until_whole(here)


async def test_postgres_gone(place: tuple[EmbeddedServers, Here]) -> None:
    """Without PostgreSQL: spooled answers, then 503; when it is back, everything is in the log."""
    servers, here = place
    assert servers.postgres is not None
    answered = [await here.client.score(event("checkout"))]
    servers.postgres.kill()
    refused = None
    for _ in range(200):
        answer = await here.client.score(event("checkout"))
        if answer.status != 200:
            refused = answer
            break
        answered.append(answer)
    assert len(answered) > 5
    assert refused is not None, "the spool is bounded"
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) > 0
    assert (await here.client.get("/readyz")).status == 503
    servers.postgres.start()
    await _until_drained(here)
    ids = {answer.json["decision_id"] for answer in answered}
    recorded = [entry.entry_id.hex() for entry in await entries(here.settings)]
    assert ids <= set(recorded)
    assert len(recorded) == len(set(recorded))
    assert (await here.client.score(event("checkout"))).status == 200
    assert (await here.client.get("/readyz")).status == 200


async def test_a_repeat_while_postgres_is_gone(place: tuple[EmbeddedServers, Here]) -> None:
    """A repeat of a spooled event gets the first answer, then and after the spool drained."""
    servers, here = place
    assert servers.postgres is not None
    servers.postgres.kill()
    spooled = event("checkout")
    first = await here.client.score(spooled)
    assert first.status == 200
    assert (await here.client.score(spooled)).content == first.content
    servers.postgres.start()
    await _until_drained(here)
    here.runtime.decider._once._recent.clear()  # as another process would see it
    assert (await here.client.score(spooled)).content == first.content


async def test_postgres_hangs(place: tuple[EmbeddedServers, Here]) -> None:
    """A PostgreSQL that never answers: within the budget an answer from the spool, or 503."""
    servers, here = place
    await here.client.score(event("login"))
    with frozen(servers.postgres):
        for _ in range(3):
            started = time.monotonic()
            answer = await here.client.score(event("login"))
            assert time.monotonic() - started < NEVER_LONGER_SECONDS
            assert answer.status in (200, 503)
    await _until_drained(here)
    assert (await here.client.score(event("login"))).status == 200


async def _until_whole(here: Here) -> None:
    give_up_at = time.monotonic() + BACK_SECONDS
    while (await here.client.score(event("login"))).json["degraded"]:
        assert time.monotonic() < give_up_at, "velocity did not come back"
        await asyncio.sleep(0.1)


async def _until_drained(here: Here) -> None:
    give_up_at = time.monotonic() + BACK_SECONDS
    while here.runtime.ledger.status().mode != "live":
        assert time.monotonic() < give_up_at, here.runtime.ledger.status()
        await asyncio.sleep(0.1)
