"""A lost velocity store comes back from the ledger, while the service goes on answering."""

from __future__ import annotations

import json
from pathlib import Path

import redis

from features.catalog import Catalog
from service.embedded import EmbeddedServers
from tests.integration.restore_cases import (
    Traffic,
    catalog_with,
    recorded,
    run,
    settings_for,
    wrong_answers,
)
from tests.running import service_here

NEW = {
    "name": "email_payments",
    "entity": "email",
    "measure": "sum",
    "of": "payment.amount_base_minor",
    "windows": ["1h", "30d"],
    "events": ["payment"],
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
        assert (await run(settings, "status")).returncode == 0


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
        assert [n for n, one in report["series"].items() if not one["complete"]] == [
            "email_payments",
            "email_logins",
        ]
        async with traffic.going_on():
            done = await run(settings, "backfill")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("done")
        begin = len(await recorded(settings))
        for _ in range(80):
            assert "velocity" not in (await traffic.send())["degraded"]
        found = await recorded(settings)
        offered = [one.subject["facts"] for one in found[:begin] if one.subject is not None]
        payment = next(facts for facts in offered[120:] if facts["event.type"] == "payment")
        assert not any(name.startswith("email_payments") for name in payment)
        wrong = wrong_answers(here, Catalog.load(after), found, sent)
        assert [wrong.get(one.entry_id.hex()) for one in found[begin:]] == [None] * 80
        nothing = await run(settings, "backfill")
        assert "nothing to do" in nothing.stdout
