"""Under load, on two workers: every decision is whole, and soon by what was activated."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from service.embedded import EmbeddedServers
from tests.deploying import approved, deploy, pack_of, set_of
from tests.events import event
from tests.http_client import Client
from tests.live_cases import own_settings
from tests.running import entries, service_process

SWITCHES = 20
SOON_SECONDS = 1.0
CLIENTS = 6
LATE_SHARE = 0.02


class Answered(NamedTuple):
    """What one request got: when it was sent, and which set said what."""

    sent: float
    status: int
    version: str
    content: tuple[str, tuple[str, ...], str]


@pytest.mark.timeout(300)
async def test_twenty_switches_under_load(
    servers: EmbeddedServers, tmp_path: Path, fresh_postgres_url: str
) -> None:
    """No request is dropped, no decision mixes two sets, and a second after each commit both
    workers decide with what was committed; the ledger says the same."""
    sets = [
        set_of(pack_of("mark-0", outcome="review")),
        set_of(pack_of("mark-1", outcome="decline")),
    ]
    settings = own_settings(servers, tmp_path, sets[0], fresh_postgres_url)
    commits: list[tuple[float, str]] = [(time.monotonic(), sets[0].version)]
    with service_process(settings, tmp_path / "service.log") as (served, key):
        connection = await asyncpg.connect(fresh_postgres_url)
        stopping = asyncio.Event()
        try:
            clients = [
                asyncio.create_task(_client(key, served.port, stopping)) for _ in range(CLIENTS)
            ]
            await approved(connection, sets[1])
            for number in range(SWITCHES):
                files = sets[(number + 1) % 2]
                await deploy(connection, "rollback" if number else "activate", files)
                commits.append((time.monotonic(), files.version))
                await asyncio.sleep(SOON_SECONDS + 0.3)
            stopping.set()
            answers = [answer for found in await asyncio.gather(*clients) for answer in found]
        finally:
            stopping.set()
            await connection.close()
    assert len(answers) > SWITCHES * CLIENTS
    assert {answer.status for answer in answers} == {200}
    contents = {answer.version: set[object]() for answer in answers}
    for answer in answers:
        contents[answer.version].add(answer.content)
    assert contents == {
        files.version: {(outcome, (f"mark-{number}",), "COUPON_SHARED_DEVICE")}
        for number, (files, outcome) in enumerate(zip(sets, ("review", "decline"), strict=True))
    }
    # A machine that stalls for a moment makes a few late, a worker that does not follow nearly all.
    assert len(late(answers, commits)) <= len(answers) * LATE_SHARE
    recorded = [entry for entry in await entries(settings) if entry.type == "decision"]
    assert len(recorded) == len(answers)


def late(answers: list[Answered], commits: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the answers by a set that another had replaced for a second when they were sent."""
    found = []
    for answer in answers:
        before = [version for at, version in commits if at + SOON_SECONDS <= answer.sent]
        since = [version for at, version in commits if at + SOON_SECONDS > answer.sent]
        if answer.version not in (*before[-1:], *since):
            found.append((answer.sent - commits[0][0], answer.version))
    return found


async def _client(key: str, port: int, stopping: asyncio.Event) -> list[Answered]:
    answers = []
    async with Client(key, port=port) as client:
        number = 0
        while not stopping.is_set():
            number += 1
            sent = time.monotonic()
            answer = await client.score(event("checkout", user={"id": f"u-{number % 97}"}))
            body = answer.json
            hits = tuple(hit["rule_id"] for hit in body["rule_hits"])
            reason = body["reasons"][0]["code"]
            version = body["versions"]["rule_set"]
            answers.append(Answered(sent, answer.status, version, (body["outcome"], hits, reason)))
            await asyncio.sleep(0.02)
    return answers
