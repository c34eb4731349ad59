"""A restoration that is killed goes on where it was, and nothing is counted twice or lost."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis

from features.catalog import Catalog
from features.series_identity import declared_series
from features.velocity.connection import ValkeyConnection
from features.velocity.history_store import ValkeyVelocityHistory
from service.completeness import now_ms
from service.embedded import EmbeddedServers
from service.history.job import JOB_KEY
from service.settings import Settings
from tests.integration.history_cases import entry, store
from tests.integration.restore_cases import command, environment, run, settings_for
from tests.running import KEK

EVENTS, PEOPLE = 8_000, 1_500
NOBODY_COUNTS = 5  # milliseconds: there is no service whose requests would have to settle


async def test_killed_while_reading_and_while_merging_it_goes_on(
    servers: EmbeddedServers, fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """kill -9 twice, then once to the end: every count and total is that of the ledger."""
    settings = settings_for(servers, tmp_path, fresh_valkey_url, fresh_postgres_url)
    catalog = Catalog.load()
    choose, begin = random.Random(5), datetime.now(UTC) - timedelta(minutes=50)
    orders: Counter[str] = Counter()
    amounts: Counter[str] = Counter()
    drafts = []
    for index in range(EVENTS):
        user, amount = f"{choose.randrange(PEOPLE):022d}", choose.randrange(1, 10_000)
        orders[user] += 1
        amounts[user] += amount
        drafts.append(
            entry(
                begin + timedelta(milliseconds=choose.randrange(20) + 250 * index),
                tags={"user": user},
                fields={"order.amount_base_minor": amount},
                versions={"catalog": catalog.version},
            )
        )
    await store(fresh_postgres_url, drafts, kek=KEK)
    with redis.Redis.from_url(fresh_valkey_url) as client:
        client.set("ts:{somebody:else}:claim", "stays")
        await asyncio.to_thread(_kill_when, settings, client, lambda job: job["mark"] is not None)
        job = json.loads(client.get(JOB_KEY) or "{}")
        assert 0 < job["events"] < EVENTS
        await asyncio.to_thread(_kill_when, settings, client, lambda job: job["is_read"])
        left = sum(1 for _ in client.scan_iter("tsh:*", count=1000))
        assert left, "killed while shadows were still to be merged"
        done = await run(settings, "rebuild", budget_ms=NOBODY_COUNTS)
        assert done.returncode == 0, done.stderr
        assert f"going on after {EVENTS} events" in done.stderr
        assert f"{EVENTS} events gave" in done.stdout
        assert not list(client.scan_iter("tsh:*", count=1000))
        assert client.get("ts:{somebody:else}:claim") == b"stays"
    plans = declared_series(catalog)
    connection = ValkeyConnection(fresh_valkey_url)
    try:
        history, at_ms = ValkeyVelocityHistory(connection), now_ms()
        for user in choose.sample(sorted(orders), 300):
            count = await history.peek("user", user, plans["user_orders"].plan, at_ms, 5)
            total = await history.peek("user", user, plans["user_order_amount"].plan, at_ms, 5)
            assert count.answers["user_orders_30d"] == orders[user]
            assert total.answers["user_order_amount_90d"] == amounts[user]
    finally:
        await connection.close()


def _kill_when(
    settings: Settings, client: redis.Redis, moment: Callable[[dict[str, Any]], bool]
) -> None:
    """Run `rebuild` and kill it, without a warning, once the noted job is so far."""
    with subprocess.Popen(
        command(settings, "rebuild"),
        env=environment(settings, NOBODY_COUNTS),
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            text = client.get(JOB_KEY)
            if text is not None and moment(json.loads(text)):
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
