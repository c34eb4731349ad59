"""Rule sets in shadow are asked after the reply, and can neither change nor delay an answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import service.shadow.queue
from rules.files import RuleSetFiles
from service.embedded import EmbeddedServers
from service.shadow.report import ShadowReport, shadow_report
from tests.deploying import deploy, in_shadow, pack_of, set_of
from tests.events import event
from tests.live_cases import own_settings, until
from tests.running import Here, service_here


@pytest.fixture
async def here(
    servers: EmbeddedServers, tmp_path: Path, fresh_postgres_url: str
) -> AsyncIterator[Here]:
    """A service whose rule sends every checkout and login to review."""
    settings = own_settings(servers, tmp_path, set_of(pack_of("mark-0")), fresh_postgres_url)
    async with service_here(settings) as running:
        yield running


@pytest.fixture
async def database(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to the service's database."""
    connection = await asyncpg.connect(fresh_postgres_url)
    yield connection
    await connection.close()


async def watching(here: Here, database: Any, files: RuleSetFiles) -> None:
    """Put a set in shadow and wait until its process runs."""
    await in_shadow(database, files)
    await until(lambda: len(here.runtime.brain.shadows) > 0)
    await until(lambda: process_of(here) is not None)


def process_of(here: Here) -> int | None:
    """The process id of this worker's shadow process."""
    process = here.runtime.shadow._process
    return None if process is None or not process._brain else process._process.pid


async def counted(here: Here, database: Any, version: str, decisions: int) -> ShadowReport:
    """The report, once it knows of so many decisions, looked at or not."""
    async with asyncio.timeout(20):
        while True:
            report = await shadow_report(database, version, "CNY")
            if report.decisions + report.failed + report.dropped >= decisions:
                return report
            await asyncio.sleep(0.1)


async def test_a_shadow_is_asked_and_compared(here: Here, database: Any) -> None:
    """The report has each decision once: what was decided, what would have been, and the money."""
    shadow = set_of(
        pack_of("mark-1", when="order.amount_base_minor >= 20000", outcome="decline").replace(
            "[checkout, login]", "[checkout]"
        )
    )
    await watching(here, database, shadow)
    order = {"id": "o", "currency": "CNY"}
    for amount in (10_000, 30_000, 50_000):
        sent = event("checkout", order={**order, "amount_minor": amount})
        assert (await here.client.score(sent)).json["outcome"] == "review"
    answer = (await here.client.score(sent)).json  # again: answered from the record, not decided
    await here.client.score(event("login"))
    report = await counted(here, database, shadow.version, 4)
    assert (report.decisions, report.failed, report.dropped) == (4, 0, 0)
    assert report.baselines == [here.runtime.brain.live.version]
    found = {
        (kind.event_type, t.live, t.shadow): (t.decisions, t.amount)
        for kind in report.event_types
        for t in kind.transitions
    }
    assert found == {
        ("checkout", "review", "decline"): (2, 80_000),
        ("checkout", "review", "approve"): (1, 10_000),
        ("login", "review", "approve"): (1, 0),
    }
    assert (report.declined_more, report.declined_less) == (80_000, 0)
    assert report.changed.count == report.changed.of == 4
    assert answer["decision_id"] in report.event_types[0].transitions[0].examples
    rules = {(rule.event_type, rule.rule_id): rule for rule in report.rules}
    assert rules["checkout", "mark-1"].shadow_hits == 2
    assert rules["checkout", "mark-0"].live_hits == 3


async def test_a_shadow_knows_the_lists_that_only_it_asks_about(here: Here, database: Any) -> None:
    """A look-up that no live rule makes is made for the shadow, by the time of the event."""
    await watching(here, database, set_of(pack_of("mark-1", when='in_list("stolen", "user")')))
    tag = here.runtime.brain.tagger.tag("user", "u-stolen")
    await database.execute(
        "INSERT INTO list (name, purpose, description, actor) VALUES ('stolen', 'deny', '', 'ana')"
    )
    await database.execute(
        "INSERT INTO list_entry (list, kind, tag, reason, owner, added_by, revision) "
        "VALUES ('stolen', 'user', $1, '', 'ana', 'ana', nextval('list_revision'))",
        tag,
    )
    await until(lambda: len(here.runtime.lists) == 1)
    for user in ("u-stolen", "u-honest", "u-honest"):
        answer = (await here.client.score(event("login", user={"id": user}))).json
        assert [hit["rule_id"] for hit in answer["rule_hits"]] == ["mark-0"]
    version = here.runtime.brain.shadows[0].version
    report = await counted(here, database, version, 3)
    rules = {rule.rule_id: rule for rule in report.rules}
    assert (rules["mark-1"].shadow_hits, rules["mark-1"].unknown) == (1, 0)


async def test_a_shadow_does_not_reach_the_answer(here: Here, database: Any) -> None:
    """What is answered and recorded names the live set alone, whatever the shadow would decide."""
    alone = (await here.client.score(event("checkout"))).json
    await watching(here, database, set_of(pack_of("mark-1", outcome="decline")))
    beside = (await here.client.score(event("checkout"))).json
    same = ("outcome", "reasons", "rule_hits", "step_up", "versions", "degraded")
    assert {name: alone[name] for name in same} == {name: beside[name] for name in same}
    read = (await here.client.get(f"/v1/decisions/{beside['decision_id']}")).json
    assert read == beside


async def test_a_shadow_that_hangs_delays_nothing(
    here: Here, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its process stopped answers come as before; what does not fit is dropped and counted."""
    monkeypatch.setattr(service.shadow.queue, "QUEUE_TASKS", 40)
    shadow = set_of(pack_of("mark-1"))
    await watching(here, database, shadow)
    pid = process_of(here)
    assert pid is not None
    usual = await timed(here, 50)
    os.kill(pid, signal.SIGSTOP)
    try:
        hung = await timed(here, 200)
        assert here.runtime.metrics.shadow_dropped._value.get() > 0
        assert hung < 3 * usual + 0.01, "a decision with a hanging shadow, in the middle"
    finally:
        os.kill(pid, signal.SIGCONT)
    report = await counted(here, database, shadow.version, 250)
    assert report.decisions + report.dropped == 250
    assert report.dropped == here.runtime.metrics.shadow_dropped._value.get()


async def timed(here: Here, count: int) -> float:
    """Score so many events; return the seconds that the one in the middle took."""
    seconds = []
    for _ in range(count):
        sent = event("login")
        began = time.perf_counter()
        assert (await here.client.score(sent)).status == 200
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[count // 2]


async def test_a_shadow_process_that_dies_is_replaced(here: Here, database: Any) -> None:
    """Killed, it costs no answer; another goes on, and nothing is counted twice."""
    shadow = set_of(pack_of("mark-1"))
    await watching(here, database, shadow)
    pid = process_of(here)
    assert pid is not None
    await here.client.score(event("login"))
    await counted(here, database, shadow.version, 1)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: process_of(here) not in (None, pid))
    for _ in range(5):
        assert (await here.client.score(event("login"))).status == 200
    report = await counted(here, database, shadow.version, 6)
    assert report.decisions + report.dropped == 6


async def test_a_shadow_that_cannot_be_used_is_told(here: Here, database: Any) -> None:
    """A set in shadow that does not compile is named by `/readyz`; decisions go on."""
    broken = set_of(pack_of("mark-1", when="no.such.fact == 1"))
    await in_shadow(database, broken)
    await until(lambda: bool(here.runtime.shadow.failed))
    assert (await here.client.score(event("login"))).status == 200
    state = (await here.client.get("/readyz")).json["resources"]["rules"]
    assert not state["ok"]
    assert f"shadow {broken.version[:16]} is not asked" in state["detail"]
    await deploy(database, "unshadow", broken)
    await until(lambda: not here.runtime.shadow.failed)
    await until(lambda: process_of(here) is None)
