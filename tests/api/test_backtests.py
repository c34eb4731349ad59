"""Backtests as jobs: asked for, followed, cancelled, read; on record from asking to result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from service.backtest import child
from service.backtest.jobs import ENDED, SILENT_SECONDS
from service.backtest.result import digest_of
from service.embedded import EmbeddedServers
from tests.backtests import UNTIL, traffic
from tests.http_client import Client
from tests.recorded_actions import recorded_actions
from tests.rule_sets import FIRST, ROLES, people, variant
from tests.running import Here, service_here, settings_on

EVENTS = 120
WINDOW = {"since": "2026-10-01T00:00:00Z", "until": UNTIL.isoformat()}


@dataclass
class Shop:
    """A service with a history; `ana` writes rules, `version` is hers."""

    here: Here
    ana: Client
    version: str
    database: Any

    async def start(self, **body: Any) -> dict[str, Any]:
        """Ask for a backtest that must be taken."""
        path = f"/v1/rule-sets/{self.version[:12]}/backtests"
        answer = await self.ana.score({**WINDOW, **body}, path)
        assert answer.status == 202, answer.content
        job: dict[str, Any] = answer.json
        return job

    async def job(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ana.get(f"/v1/backtests/{number}")).json
        return found

    async def ended(self, number: str, seconds: float = 90) -> dict[str, Any]:
        """Wait for the end of a backtest."""
        async with asyncio.timeout(seconds):
            while (job := await self.job(number))["state"] not in ENDED:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.1)
        return job


@pytest.fixture
async def shop(
    servers: EmbeddedServers, fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> AsyncIterator[Shop]:
    """A service that decided some events, with a version that is stricter than the live one."""
    FIRST.write(tmp_path / "rules")
    settings = settings_on(
        servers, tmp_path, patient_ms=5000, rules_dir=tmp_path / "rules", clock="event"
    )
    settings = settings.model_copy(
        update={
            "postgres": settings.postgres.model_copy(update={"url": fresh_postgres_url}),
            "valkey": settings.valkey.model_copy(update={"url": fresh_valkey_url}),
        }
    )
    keys = await people(settings, ROLES)
    database = await asyncpg.connect(fresh_postgres_url)
    async with (
        service_here(settings) as here,
        Client(keys["ana"], transport=here.transport) as ana,
    ):
        for body in traffic(EVENTS, seed=11):
            assert (await here.client.score(body)).status == 200
        files = dict(variant(2).texts)
        pushed = await ana.score({"files": files}, "/v1/rule-sets")
        assert pushed.status == 201, pushed.content
        yield Shop(here, ana, pushed.json["rule_set"]["version"], database)
    await database.close()


async def test_a_backtest_from_asking_to_its_report(shop: Shop) -> None:
    """Its progress is seen, its sums agree, both reports come from it, its digest is on record."""
    job = await shop.start()
    assert (job["state"], job["baseline"], job["actor"]) == ("queued", FIRST.version, "ana")
    done = await shop.ended(job["id"])
    assert (done["state"], done["error"]) == ("done", None)
    result = (await shop.ana.get(f"/v1/backtests/{job['id']}/result")).json
    events = result["source"]["events"]
    assert done["done"] == done["total"] == events > EVENTS / 2
    assert sum(map(sum, result["transitions"]["counts"])) == events
    assert result["replay"] == {"compared": events, "equal": events}
    for language, title in (("en", "Backtest"), ("zh", "回测报告")):
        report = await shop.ana.get(f"/v1/backtests/{job['id']}/report?lang={language}")
        assert report.headers["content-type"] == "text/html; charset=utf-8"
        assert f"<h1>{title} {shop.version[:12]}" in report.content.decode()
    listed = (await shop.ana.get(f"/v1/rule-sets/{shop.version}/backtests")).json
    assert [one["id"] for one in listed] == [job["id"]]
    submitted = await shop.ana.score({}, f"/v1/rule-sets/{shop.version}/submit")
    assert (submitted.status, submitted.json.get("backtest_id")) == (201, job["id"])
    asked, ended = [
        one
        for one in await recorded_actions(shop.here.settings, "rules.backtest")
        if one.what["backtest"] == job["id"]
    ]
    assert (asked.type, asked.who["actor"]) == ("rules.backtest", "ana")
    assert ended.what["result_sha256"] == digest_of(result)


async def test_a_backtest_is_cancelled_while_it_runs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its process is gone soon, it has no result, and the next one runs."""
    endless = tmp_path / "endless.py"
    endless.write_text(
        "import os, sys, time\nopen(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))\n"
        'while True:\n    print(\'{"done": 1, "total": 9}\', flush=True)\n    time.sleep(0.1)\n'
    )
    monkeypatch.setattr("service.backtest.runner.COMMAND", (str(endless),))
    job = await shop.start()
    async with asyncio.timeout(30):
        while (await shop.job(job["id"]))["done"] != 1:  # noqa: ASYNC110 - it is polled
            await asyncio.sleep(0.05)
    waiting = await shop.start()
    assert (await shop.job(waiting["id"]))["state"] == "queued"
    assert (await shop.ana.score({}, f"/v1/backtests/{job['id']}/cancel")).status == 200
    monkeypatch.undo()
    assert (await shop.ended(job["id"]))["state"] == "cancelled"
    assert not Path(f"/proc/{(tmp_path / 'endless.py.pid').read_text()}").exists()
    assert (await shop.ana.get(f"/v1/backtests/{job['id']}/result")).json["code"] == "no_result"
    assert (await shop.ended(waiting["id"]))["state"] == "done"


async def test_a_backtest_that_waits_is_cancelled_at_once(shop: Shop) -> None:
    """Behind another one it never runs; cancelling twice, or what is unknown, hurts nobody."""
    first, second = await shop.start(), await shop.start()
    path = f"/v1/backtests/{second['id']}/cancel"
    assert (await shop.ana.score({}, path)).json["state"] == "cancelled"
    assert (await shop.ana.score({}, path)).json["state"] == "cancelled"
    nobody = "/v1/backtests/00000000-0000-0000-0000-000000000000"
    assert (await shop.ana.score({}, f"{nobody}/cancel")).json["code"] == "unknown_backtest"
    assert (await shop.ana.get(nobody)).json["code"] == "unknown_backtest"
    assert (await shop.ended(first["id"]))["state"] == "done"


async def test_a_job_whose_runner_died_fails_and_says_so(shop: Shop) -> None:
    """Its silence gives it up; a job behind it then runs."""
    async with shop.database.transaction():
        silent = await _inserted(shop)
        await shop.database.execute(
            "UPDATE backtest SET state = 'running', "
            "heartbeat_at = now() - make_interval(secs => $2) WHERE id = $1",
            silent,
            float(SILENT_SECONDS + 1),
        )
    behind = await shop.start()
    failed = await shop.ended(str(silent), 10)
    assert failed["state"] == "failed"
    assert "Start it again" in failed["error"]
    assert (await shop.ended(behind["id"]))["state"] == "done"


async def test_a_process_that_dies_fails_its_job(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child without a last word is no result."""
    monkeypatch.setattr(
        "service.backtest.runner.COMMAND", ("-c", 'print(\'{"done":0,"total":1}\')')
    )
    job = await shop.ended((await shop.start())["id"])
    assert (job["state"], "killed" in job["error"]) == ("failed", True)


async def test_nobody_states_a_result(shop: Shop) -> None:
    """Plain SQL cannot begin with a result, skip a state or change what ended."""
    added = (
        "INSERT INTO backtest (id, version, baseline, catalog, request, state, result, actor) "
        "SELECT $1, version, version, 'c', '{}', 'done', '{}', 'ana' FROM rule_set LIMIT 1"
    )
    with pytest.raises(asyncpg.PostgresError, match="begins as a job"):
        await shop.database.execute(added, uuid4())
    async with shop.database.transaction():
        waiting = await _inserted(shop)
        with pytest.raises(asyncpg.PostgresError, match="does not become"):
            async with shop.database.transaction():
                await _moved(shop, waiting, "done", "{}")
        await _moved(shop, waiting, "cancelled")
    with pytest.raises(asyncpg.PostgresError, match="as it ended"):
        await _moved(shop, waiting, "queued")


async def test_what_makes_no_sense_is_refused(shop: Shop) -> None:
    """Times the wrong way round, segments that are identifiers, versions that are not there."""
    path = f"/v1/rule-sets/{shop.version}/backtests"
    for body in (
        {"since": "2026-10-02T00:00:00Z", "until": "2026-10-01T00:00:00Z"},
        {"since": "2026-10-02T00:00:00"},
        {"segments": ["user"]},
        {"segments": ["order.amount_base_minor"]},
        {"sinse": "2026-10-02T00:00:00Z"},
    ):
        answer = await shop.ana.score(body, path)
        assert (answer.status, answer.json["code"]) == (422, "invalid_request"), body
    answer = await shop.ana.score({"baseline": "ffffffffff"}, path)
    assert answer.json["code"] == "unknown_rule_set"


def test_an_order_is_read_back_as_it_was_sent(tmp_path: Path) -> None:
    """The process is told everything: settings, both rule sets, the span."""
    from service.settings import Settings

    settings = Settings(var=tmp_path, clock="event", postgres={"url": "postgresql://u@h/d"})
    request = {
        "since_ms": 1,
        "until_ms": 2,
        "labels_as_of": UNTIL.isoformat(),
        "segments": ["order.channel"],
    }
    text = child.order_text(settings, request, dict(FIRST.texts), dict(variant(3).texts))
    order = child.order_of(text)
    assert order.settings == settings
    assert (order.candidate, order.baseline) == (FIRST.texts, variant(3).texts)
    assert (order.source.since_ms, order.source.until_ms) == (1, 2)  # type: ignore[union-attr]


async def _inserted(shop: Shop) -> UUID:
    number = uuid4()
    request = {
        "since_ms": 0, "until_ms": 0, "labels_as_of": UNTIL.isoformat(), "segments": [],
    }  # fmt: skip
    await shop.database.execute(
        "INSERT INTO backtest (id, version, baseline, catalog, request, state, actor) "
        "VALUES ($1, $2, $2, 'c', $3, 'queued', 'ana')",
        number,
        shop.version,
        json.dumps(request),
    )
    return number


async def _moved(shop: Shop, number: UUID, state: str, result: str | None = None) -> None:
    await shop.database.execute(
        "UPDATE backtest SET state = $2, result = $3 WHERE id = $1", number, state, result
    )
