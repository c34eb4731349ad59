"""What is deployed runs, soon and whole; what cannot run leaves what does."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rules.files import RuleSetFiles
from service.bootstrap import bootstrap
from service.embedded import EmbeddedServers
from tests.deploying import approved, deploy, pack_of, set_of, stop
from tests.events import event
from tests.live_cases import own_settings, until
from tests.running import Here, entries, service_here, settings_on

SOON_SECONDS = 1.0
STALL_SECONDS = 1.0  # of a machine that does other things, too


@pytest.fixture
def first() -> RuleSetFiles:
    """The set that a service of these tests begins with."""
    return set_of(pack_of("mark-0"))


@pytest.fixture
async def here(
    servers: EmbeddedServers,
    tmp_path: Path,
    fresh_postgres_url: str,
    fresh_valkey_url: str,
    first: RuleSetFiles,
) -> AsyncIterator[Here]:
    """A service on stores of its own that begins with `first`."""
    async with service_here(own_settings(servers, tmp_path, first, fresh_postgres_url)) as running:
        yield running


@pytest.fixture
async def database(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to the service's database."""
    connection = await asyncpg.connect(fresh_postgres_url)
    yield connection
    await connection.close()


async def rules_of(here: Here) -> tuple[bool, str]:
    """What `/readyz` says of the rules."""
    state = (await here.client.get("/readyz")).json["resources"]["rules"]
    return state["ok"], state["detail"]


async def test_the_first_start_imports_the_files_on_the_record(
    here: Here, first: RuleSetFiles
) -> None:
    """A service on an empty database decides with the files, and the ledger says who put them."""
    answer = (await here.client.score(event("checkout"))).json
    assert answer["versions"]["rule_set"] == first.version
    assert [hit["rule_id"] for hit in answer["rule_hits"]] == ["mark-0"]
    assert "rules.first" in [entry.type for entry in await entries(here.settings)]


async def test_what_is_activated_decides_within_a_second(here: Here, database: Any) -> None:
    """An activation, and the rollback of it, decide within a second of their commit."""
    second = set_of(pack_of("mark-1", outcome="decline"))
    await approved(database, second)
    before = here.runtime.brain.live.version
    waits = []
    for number in range(4):
        version = before if number % 2 else second.version
        action = "rollback" if number else "activate"
        files = set_of(pack_of("mark-0")) if number % 2 else second
        await deploy(database, action, files)
        committed = time.monotonic()
        await until(lambda wanted=version: here.runtime.brain.live.version == wanted)  # type: ignore[misc]
        waits.append(time.monotonic() - committed)
        answer = (await here.client.score(event("checkout"))).json
        assert answer["versions"]["rule_set"] == version
    assert sorted(waits)[1] < SOON_SECONDS  # the machine may stall now and then


async def test_what_cannot_be_used_leaves_the_old_set_live(here: Here, database: Any) -> None:
    """A set that does not compile here changes no decision, and `/readyz` says so until it goes."""
    before = here.runtime.brain.live.version
    broken = set_of(pack_of("mark-1", when="no.such.fact == 1"))
    await approved(database, broken)
    await deploy(database, "activate", broken)
    await until(lambda: bool(here.runtime.deployed.problems))
    assert (await here.client.score(event("checkout"))).json["versions"]["rule_set"] == before
    is_ok, detail = await rules_of(here)
    assert not is_ok
    assert f"live {broken.version[:16]} is not used: problems found: 1" in detail
    assert "no.such.fact" not in detail
    await deploy(database, "rollback", set_of(pack_of("mark-0")))
    await until(lambda: not here.runtime.deployed.problems)
    assert (await rules_of(here))[0]


async def test_files_that_were_changed_are_not_used(here: Here, database: Any) -> None:
    """Files that are not what their version says change no decision, and `/readyz` says so."""
    before = here.runtime.brain.live.version
    second = set_of(pack_of("mark-1"))
    await approved(database, second)
    await changed_behind_the_back(database, second)
    await deploy(database, "activate", second)
    await until(lambda: bool(here.runtime.deployed.problems))
    answer = (await here.client.score(event("checkout"))).json
    assert answer["versions"]["rule_set"] == before
    is_ok, detail = await rules_of(here)
    assert not is_ok
    assert "are not what its version says" in detail


async def changed_behind_the_back(database: Any, files: RuleSetFiles) -> None:
    """Change a stored file as only somebody who rules the database can, before it is read."""
    async with database.transaction():
        await database.execute("ALTER TABLE rule_set_file DISABLE TRIGGER ALL")
        await database.execute(
            "UPDATE rule_set_file SET text = text || '# more' WHERE version = $1", files.version
        )
        await database.execute("ALTER TABLE rule_set_file ENABLE TRIGGER ALL")


async def test_a_start_with_a_set_that_cannot_be_used_takes_the_one_before(
    here: Here, database: Any
) -> None:
    """A worker that starts under a set it cannot use decides with the latest that it can."""
    second = set_of(pack_of("mark-1"))
    broken = set_of(pack_of("mark-2", when="no.such.fact == 1"))
    for files in (second, broken):
        await approved(database, files)
        await deploy(database, "activate", files)
    async with bootstrap(here.settings) as runtime:
        assert runtime.brain.live.version == second.version
        assert not (await runtime.resources())["rules"]["ok"]


async def test_decisions_go_on_while_a_large_set_is_loaded(here: Here, database: Any) -> None:
    """Loading hundreds of rules takes long, and neither a decision nor a stop waits for it."""
    pack = pack_of("mark-1")
    head, _, rule = pack.partition("  - id: ")
    rules = "".join(f"  - id: {rule.replace('mark-1', f'many-{n}')}" for n in range(800))
    large = set_of(head + rules)
    await approved(database, large)
    began, waits = time.perf_counter(), []
    await deploy(database, "activate", large)
    await stop(database, "mark-0")
    stopped_first = False
    while here.runtime.brain.live.version != large.version:
        sent = time.perf_counter()
        assert (await here.client.score(event("login"))).status == 200
        waits.append(time.perf_counter() - sent)
        brain = here.runtime.brain
        stopped_first |= bool(brain.stopped) and brain.live.version != large.version
    took = time.perf_counter() - began
    assert stopped_first
    assert len(waits) > 10  # it would be one or two if they waited for the rules
    assert statistics.median(waits) < took / 10


async def test_a_stop_takes_the_effect_within_a_second_and_lapses(
    here: Here, database: Any
) -> None:
    """A stopped rule is recorded as stopped and has no effect, until nobody confirmed in time."""
    assert (await here.client.score(event("checkout"))).json["outcome"] == "review"
    await stop(database, "mark-0", seconds=3)
    stopped = time.monotonic()
    await until(lambda: bool(here.runtime.brain.stopped))
    assert time.monotonic() - stopped < SOON_SECONDS + STALL_SECONDS
    answer = (await here.client.score(event("checkout"))).json
    assert answer["outcome"] == "approve"
    assert answer["rule_hits"] == [
        {"rule_id": "mark-0", "status": "hit", "outcome": "review", "mode": "stopped"}
    ]
    await until(lambda: not here.runtime.brain.stopped)
    assert 2.5 < time.monotonic() - stopped < 3 + SOON_SECONDS + STALL_SECONDS
    assert (await here.client.score(event("checkout"))).json["outcome"] == "review"


async def test_a_start_without_postgres_decides_with_what_ran_last(
    tmp_path: Path, first: RuleSetFiles
) -> None:
    """A worker that starts while PostgreSQL is away takes the copy of what was deployed."""
    second = set_of(pack_of("mark-1"))
    with EmbeddedServers.start(tmp_path / "servers") as own:
        assert own.postgres is not None
        first.write(tmp_path / "first")
        settings = settings_on(own, tmp_path, patient_ms=10_000, rules_dir=tmp_path / "first")
        async with service_here(settings) as here:
            connection = await asyncpg.connect(settings.postgres.url)
            await approved(connection, second)
            await deploy(connection, "activate", second)
            await stop(connection, "mark-1")
            await connection.close()
            await until(lambda: bool(here.runtime.brain.stopped))
            cache = settings.var / "rules" / "deployed.json"
            await until(lambda: '"stopped": [\n    "mark-1"' in cache.read_text())
        own.postgres.kill()
        async with bootstrap(settings) as runtime:
            assert runtime.brain.live.version == second.version
            assert runtime.brain.stopped == {"mark-1"}
