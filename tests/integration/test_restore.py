"""A lost velocity store comes back from the ledger, while the service goes on answering."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import redis

from features.catalog import Catalog
from features.replay import writes_of
from features.series_identity import declared_series
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.integration.history_cases import events_of, history_of
from tests.integration.restore_cases import (
    Traffic,
    catalog_with,
    recorded,
    run,
    settings_for,
    wrong_answers,
    wrong_counters,
)
from tests.running import KEK, Here, service_here

NEW = {
    "name": "email_payments",
    "entity": "email",
    "measure": "sum",
    "of": "payment.amount_base_minor",
    "windows": ["1h", "30d"],
    "events": ["payment"],
}
# Nothing of the changed series is left of somebody about whom its new definition says nothing.
NEVER_FAILED = {
    "user": {"id": "u-careful", "email": "careful@example.com"},
    "login": {"succeeded": True, "method": "password"},
}


async def test_a_cleared_store_is_rebuilt_while_traffic_goes_on(
    servers: EmbeddedServers, fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """`degraded` names velocity; after `rebuild` every feature is as if nothing had been lost."""
    settings = settings_for(servers, tmp_path, fresh_valkey_url, fresh_postgres_url)
    async with service_here(settings) as here:
        traffic = Traffic(here, 1, {})
        for _ in range(150):
            assert "velocity" not in (await traffic.send())["degraded"]
        with redis.Redis.from_url(fresh_valkey_url) as client:
            client.flushdb()
        while "velocity" not in (await traffic.send())["degraded"]:
            pass
        lost = await run(settings, "status")
        assert (lost.returncode, lost.stdout[:5]) == (1, "lost:")
        async with traffic.going_on():
            done = await run(settings, "rebuild")
        assert done.returncode == 0, done.stderr
        assert "series are complete" in done.stdout
        while "velocity" in (await traffic.send())["degraded"]:
            pass
        healed = len(await recorded(settings))
        for _ in range(80):
            assert "velocity" not in (await traffic.send())["degraded"]
        found = await recorded(settings)
        wrong = wrong_answers(here, here.runtime.brain.catalog, found, traffic.sent)
        assert [wrong.get(one.entry_id.hex()) for one in found[healed:]] == [None] * 80
        assert traffic.statuses == {200}
        assert wrong, "the events of the loss know nothing: the comparison sees that"
        await _replays_what_was_counted(settings, here)


async def _replays_what_was_counted(settings: Settings, here: Here) -> None:
    """History gives every event the records that the service made of it."""
    catalog, tagger = here.runtime.brain.catalog, here.runtime.brain.tagger
    since = dict.fromkeys(declared_series(catalog), 0)
    counted = {
        (one.event_key or b"").decode(): (one.subject or {})["writes"]
        for one in await recorded(settings)
    }
    assert settings.postgres.url is not None
    async with history_of(settings.postgres.url, kek=KEK) as history:
        events = await events_of(history)
    assert len(events) == len(counted)
    for event in events:
        replayed: dict[str, dict[str, object]] = {}
        for write in writes_of(event, catalog, tagger, since):
            replayed.setdefault(write.kind, {})[write.plan.name] = write.value
        writes = {kind: series for kind, series in counted[event.event_tag].items() if series}
        assert replayed == writes


async def test_of_many_callers_at_once_nobody_is_counted_twice_or_lost(
    servers: EmbeddedServers, fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Twelve callers all the time, through loss and rebuild: each counter is that of the ledger."""
    settings = settings_for(servers, tmp_path, fresh_valkey_url, fresh_postgres_url)
    async with service_here(settings) as here:
        callers = [Traffic(here, seed, {}) for seed in range(12)]
        async with AsyncExitStack() as stack:
            for caller in callers:
                await stack.enter_async_context(caller.going_on())
            await asyncio.sleep(1)
            with redis.Redis.from_url(fresh_valkey_url) as client:
                client.flushdb()
            while not here.runtime.completeness.gaps().everything_lost:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            done = await run(settings, "rebuild")
            assert done.returncode == 0, done.stderr
        found = await recorded(settings)
        wrong = await wrong_counters(here, here.runtime.brain.catalog, found, fresh_valkey_url)
        assert wrong == []
        assert {status for caller in callers for status in caller.statuses} == {200}


async def test_a_new_and_a_changed_series_are_offered_once_they_are_backfilled(
    servers: EmbeddedServers, fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Until then their facts are unknown and `degraded` says so; the other series go on."""
    urls = (fresh_valkey_url, fresh_postgres_url)
    changed = {**NEW, "name": "email_logins", "measure": "count", "events": ["login"]}
    del changed["of"]
    before = catalog_with(tmp_path / "before.yaml", changed)
    first = settings_for(servers, tmp_path, *urls, before)
    sent: dict[str, dict[str, object]] = {}
    async with service_here(first) as here:
        traffic = Traffic(here, 2, sent)
        for _ in range(120):
            assert "velocity" not in (await traffic.send())["degraded"]
        for _ in range(3):
            await traffic.send("login", **NEVER_FAILED)
    changed["where"] = "login.succeeded == false"
    after = catalog_with(tmp_path / "after.yaml", NEW, changed)
    settings = first.model_copy(update={"catalog": after})
    async with service_here(settings) as here:
        traffic = Traffic(here, 3, sent)
        assert "velocity" in (await traffic.send("payment"))["degraded"]
        assert "velocity" in (await traffic.send("login"))["degraded"]
        assert "velocity" not in (await traffic.send("checkout"))["degraded"]
        report = json.loads((await run(settings, "status", "--json")).stdout)
        assert report["state"] == "incomplete"
        incomplete = {name for name, one in report["series"].items() if not one["complete"]}
        assert incomplete == {"email_payments", "email_logins"}
        async with traffic.going_on():
            done = await run(settings, "backfill")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("done")
        begin = len(await recorded(settings))
        await traffic.send("login", **NEVER_FAILED)
        for _ in range(80):
            assert "velocity" not in (await traffic.send())["degraded"]
        found = await recorded(settings)
        assert found[begin].subject is not None
        assert found[begin].subject["facts"]["email_logins_1h"] == 0
        offered = [one.subject["facts"] for one in found[:begin] if one.subject is not None]
        payment = next(facts for facts in offered[120:] if facts["event.type"] == "payment")
        assert not any(name.startswith("email_payments") for name in payment)
        wrong = wrong_answers(here, Catalog.load(after), found, sent)
        assert [wrong.get(one.entry_id.hex()) for one in found[begin:]] == [None] * 81
        assert (await run(settings, "status")).returncode == 0
