"""P1: an answer that left means its entry is durable. The long form: `make soak ARGS="kills"`."""

from __future__ import annotations

from pathlib import Path
from random import Random

from service.embedded import EmbeddedServers
from tests.running import settings_on
from tests.soak.kills import compared, made_forgetful, postgres_stopped, service_killed


async def test_p1_answers_survive_kill_9(tmp_path: Path) -> None:
    """`kill -9` of any process of the service under load, six times: each answer is there, once."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=10_000)
        account = await service_killed(settings, tmp_path / "service.log", 6, Random(3))
        found = await compared(settings, account)
    assert account.kills.total() == 6
    assert account.broken > 0, "nobody was kept waiting for an answer: that was no load"
    assert found.holds, found


async def test_p1_answers_survive_immediate_stops_of_postgresql(tmp_path: Path) -> None:
    """PostgreSQL stopped at once under load, three times: each answer is there, once."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=10_000, ledger={"spool_max_bytes": 0})
        account = await postgres_stopped(settings, servers, tmp_path / "log", 3, Random(5))
        found = await compared(settings, account)
    assert account.refused > 0, "PostgreSQL was not missed: that was no load"
    assert found.holds, found


async def test_p1_losses_would_be_seen(tmp_path: Path) -> None:
    """On a server that confirms commits before they are durable the same comparison finds losses:
    in the answers, and as holes in the numbers of the writers."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=10_000)
        await made_forgetful(settings)
        account = await postgres_stopped(settings, servers, tmp_path / "log", 2, Random(7))
        found = await compared(settings, account)
    assert found.lost > 0
    assert not found.is_whole
