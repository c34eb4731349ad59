"""What the velocity store is believed to know, and when it is not believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
import redis
import yaml

import service.completeness
from features.catalog import DEFAULT_PATH, Catalog
from features.velocity.connect import connect
from features.velocity.connection import ValkeyConnection
from features.velocity.store import VelocityUnavailable
from service.completeness import Completeness
from service.store_state import MARKERS, StoreStates, marker_keys
from tests.integration.history_cases import START, entry, store
from tests.valkey_cluster import ValkeyCluster

ONE = {"name": "user_orders", "entity": "user", "measure": "count", "windows": ["1h", "24h"]}
SEEN = {"name": "user_first_seen", "entity": "user", "measure": "first_seen", "windows": ["90d"]}
EVENTS = {"events": ["checkout"]}


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.completeness, "LOOK_SECONDS", 0.1)


def catalog_of(tmp_path: Path, *series: dict[str, object]) -> Catalog:
    """The shipped catalog with these series instead of its own."""
    content = yaml.safe_load(DEFAULT_PATH.read_text("utf-8"))
    content |= {"series": [{**EVENTS, **one} for one in series], "derived": []}
    path = tmp_path / f"catalog-{len(list(tmp_path.iterdir()))}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Catalog.load(path)


@asynccontextmanager
async def watching(valkey_url: str, dsn: str, catalog: Catalog) -> AsyncIterator[Completeness]:
    """A worker's look at the stores."""
    connection = connect(valkey_url)
    try:
        async with (
            asyncpg.create_pool(dsn, min_size=0, max_size=2) as pool,
            Completeness(connection, catalog, pool) as completeness,
        ):
            yield completeness
    finally:
        await connection.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what must come within some looks."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


async def test_with_an_empty_ledger_everything_is_complete_at_once(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Workers that start side by side on empty stores all find everything complete."""
    catalog = catalog_of(tmp_path, ONE, SEEN)
    workers = [watching(fresh_valkey_url, fresh_postgres_url, catalog) for _ in range(5)]
    found = await asyncio.gather(*(worker.__aenter__() for worker in workers))
    try:
        assert not any(one.gaps().everything_lost or one.gaps().incomplete for one in found)
    finally:
        for worker in workers:
            await worker.__aexit__(None, None, None)


async def test_an_empty_store_beside_a_ledger_with_entries_is_lost(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A new Valkey under an old ledger offers nothing, from the first decision on."""
    await store(fresh_postgres_url, [entry(START)])
    async with watching(fresh_valkey_url, fresh_postgres_url, catalog_of(tmp_path, ONE)) as one:
        assert one.gaps().everything_lost
        assert "features rebuild" in one.state


@pytest.mark.parametrize("lost", ["everything", "state", "marker"])
async def test_whatever_of_the_store_is_lost_is_noticed(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path, lost: str
) -> None:
    """Cleared, without its state or one of its markers: within a look nothing is offered."""
    catalog = catalog_of(tmp_path, ONE)
    async with watching(fresh_valkey_url, fresh_postgres_url, catalog) as one:
        assert not one.gaps().everything_lost
        await store(fresh_postgres_url, [entry(START)])
        with redis.Redis.from_url(fresh_valkey_url) as client:
            if lost == "everything":
                client.flushdb()
            else:
                client.delete("ts:{know}:state" if lost == "state" else marker_keys()[17])
        await until(lambda: one.gaps().everything_lost)


async def test_a_new_series_is_withheld_and_the_others_are_not(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A series that the store never counted is not offered, nor the `is_new` made of it."""
    async with watching(fresh_valkey_url, fresh_postgres_url, catalog_of(tmp_path, ONE)):
        await store(fresh_postgres_url, [entry(START)])
    later = catalog_of(tmp_path, ONE, SEEN)
    async with watching(fresh_valkey_url, fresh_postgres_url, later) as one:
        gap = one.gaps()
    assert not gap.everything_lost
    assert gap.incomplete == {"user_first_seen"}
    assert gap.withheld == {"user_first_seen_seconds", "user_is_new"}


@pytest.mark.parametrize(
    "change",
    [
        {"where": "order.amount_base_minor > 100"},
        {"events": ["checkout", "payment"]},
        {"entity": "device", "name": "user_orders"},
        {"measure": "max", "of": "order.amount_base_minor"},
        {"outcomes": ["approve"]},
    ],
    ids=["where", "events", "entity", "measure", "outcomes"],
)
async def test_a_changed_definition_is_a_new_series(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path, change: dict[str, object]
) -> None:
    """What decides whether and what is recorded belongs to the definition."""
    name = "device_orders" if "entity" in change else "user_orders"
    async with watching(fresh_valkey_url, fresh_postgres_url, catalog_of(tmp_path, ONE)):
        await store(fresh_postgres_url, [entry(START)])
    changed = catalog_of(tmp_path, ONE | change | {"name": name})
    async with watching(fresh_valkey_url, fresh_postgres_url, changed) as one:
        assert one.gaps().incomplete == {name}


async def test_another_window_works_at_once_where_its_past_was_kept(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A shorter window is offered; of a longer one only the others are until it is backfilled."""
    async with watching(fresh_valkey_url, fresh_postgres_url, catalog_of(tmp_path, ONE)):
        await store(fresh_postgres_url, [entry(START)])
    shorter = catalog_of(tmp_path, ONE | {"windows": ["1h", "7h", "24h"], "read_by": ["payment"]})
    async with watching(fresh_valkey_url, fresh_postgres_url, shorter) as one:
        assert not one.gaps().withheld
    longer = catalog_of(tmp_path, ONE | {"windows": ["1h", "24h", "7d"]})
    async with watching(fresh_valkey_url, fresh_postgres_url, longer) as one:
        assert one.gaps().withheld == {"user_orders_7d"}


async def test_a_series_that_was_away_for_a_while_is_new_again(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Removed from the catalog and put back: what was recorded between is missing."""
    both = catalog_of(tmp_path, ONE, SEEN)
    async with watching(fresh_valkey_url, fresh_postgres_url, both):
        await store(fresh_postgres_url, [entry(START)])
    async with watching(fresh_valkey_url, fresh_postgres_url, catalog_of(tmp_path, ONE)):
        pass
    async with watching(fresh_valkey_url, fresh_postgres_url, both) as one:
        assert one.gaps().incomplete == {"user_first_seen"}


async def test_what_was_kept_for_a_shorter_time_is_not_believed_longer(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A window that was shortened and made long again must be backfilled: the rest was trimmed."""
    long, short = (catalog_of(tmp_path, ONE | {"windows": [w]}) for w in ("24h", "1h"))
    async with watching(fresh_valkey_url, fresh_postgres_url, long):
        await store(fresh_postgres_url, [entry(START)])
    async with watching(fresh_valkey_url, fresh_postgres_url, short):
        pass
    async with watching(fresh_valkey_url, fresh_postgres_url, long) as one:
        assert one.gaps().withheld == {"user_orders_24h"}


async def test_after_a_lost_connection_nothing_is_offered_before_a_look(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """The server that comes back may have lost everything: it is looked at first, and soon."""
    async with watching(fresh_valkey_url, fresh_postgres_url, catalog_of(tmp_path, ONE)) as one:
        await store(fresh_postgres_url, [entry(START)])
        one.velocity_failed(VelocityUnavailable("timeout"))
        assert not one.gaps().everything_lost
        one.velocity_failed(VelocityUnavailable("lost"))
        assert one.gaps().everything_lost
        assert one.state.startswith("unknown")
        await until(lambda: not one.gaps().everything_lost)
        assert one.state == "complete"


async def test_a_failure_at_the_very_end_keeps_nobody_waiting(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A service that stops in the moment in which its store fails does stop."""
    async with asyncio.timeout(10):
        for _ in range(5):
            catalog = catalog_of(tmp_path, ONE)
            async with watching(fresh_valkey_url, fresh_postgres_url, catalog) as one:
                await asyncio.sleep(0.01)
                one.velocity_failed(VelocityUnavailable("lost"))


async def test_events_that_were_not_counted_are_counted_as_missed(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Failures of the store while it was away are told once it is back, with their first time."""
    connection = ValkeyConnection(fresh_valkey_url)
    states = StoreStates(connection)
    try:
        async with watching(fresh_valkey_url, fresh_postgres_url, catalog_of(tmp_path, ONE)) as one:
            for _ in range(3):
                one.velocity_failed(VelocityUnavailable("refused"))
            async with asyncio.timeout(10):
                while not (state := await states.read()).missed:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.02)
            assert state.missed == 3
            assert state.missed_since_ms is not None
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "remembers", ["almost everything", "nothing of this hour"], ids=["a-moment", "an-hour"]
)
async def test_a_store_that_went_back_in_time_is_noticed(
    fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path, remembers: str
) -> None:
    """A replica behind its primary or an old snapshot: a little is missed, a lot is a loss."""
    states = StoreStates(connection := ValkeyConnection(fresh_valkey_url))
    try:
        async with watching(fresh_valkey_url, fresh_postgres_url, catalog_of(tmp_path, ONE)) as one:
            await store(fresh_postgres_url, [entry(datetime.now(UTC)) for _ in range(4)])
            with redis.Redis.from_url(fresh_valkey_url) as client:
                [beat] = client.scan_iter("ts:{alive:*}:beat")
                await until(lambda: int(client.get(beat) or 0) > 5)
                assert not (await states.read()).missed
                if remembers == "nothing of this hour":
                    client.set(beat, 0)
                    await until(lambda: one.gaps().everything_lost)
                else:
                    client.decrby(beat, 3)
                    await until(lambda: client.hexists("ts:{know}:state", "missed"))
                    assert (await states.read()).missed == 4
                    assert not one.gaps().everything_lost
    finally:
        await connection.close()


async def test_without_postgresql_an_empty_store_is_not_believed(
    fresh_valkey_url: str, tmp_path: Path
) -> None:
    """When nobody can tell whether anything was ever recorded, nothing is offered."""
    nowhere = f"postgresql:///nothing?host={tmp_path}"
    async with watching(fresh_valkey_url, nowhere, catalog_of(tmp_path, ONE)) as one:
        assert one.gaps().everything_lost


async def test_one_primary_that_comes_back_empty_is_noticed(
    fresh_postgres_url: str, tmp_path: Path
) -> None:
    """On a cluster each primary holds some of the markers."""
    catalog = catalog_of(tmp_path, ONE)
    with ValkeyCluster() as cluster:
        async with watching(cluster.url, fresh_postgres_url, catalog) as one:
            assert not one.gaps().everything_lost
            await store(fresh_postgres_url, [entry(START)])
            with redis.Redis(port=cluster.primaries()[1].port) as client:
                assert MARKERS // 4 < len(list(client.scan_iter("ts:{alive:*"))) < MARKERS // 2
                client.flushall()
            await until(lambda: one.gaps().everything_lost)
