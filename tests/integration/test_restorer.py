"""What a restoration must refuse, and what it may not disturb."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow.parquet as pq
import pytest
import redis
import yaml

import service.completeness
import service.history.cut
import service.history.restore
from features.catalog import DEFAULT_PATH, Catalog
from features.history import COLUMNS
from features.series_identity import declared_series
from features.tags import Tagger, derive_tag_keys
from features.velocity.connect import Connection, connect
from features.velocity.history_store import ValkeyVelocityHistory
from service.completeness import Completeness, known_series, now_ms
from service.history.extract import ExtractError, extract
from service.history.reader import Span
from service.history.restore import Restorer
from service.history.shadows import RestoreError
from service.history.spools import EntriesWait, bring_in_spools, filled_spools
from service.ledger.keys import FileKek, Keyring
from service.ledger.spool import Spool
from service.store_state import StoreStates
from tests.integration.history_cases import KEK, START, entry, history_of, store
from tests.valkey_cluster import ValkeyCluster

CATALOG = Catalog.load()
OURS = {"catalog": CATALOG.version}
USER = f"{1:022d}"
NOT_THERE = "user_campaign_redemptions"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else counts here, so nothing has to settle."""
    monkeypatch.setattr(service.history.cut, "SETTLE_MS", 0)
    monkeypatch.setattr(service.history.cut, "LOOK_MS", (10, 100))
    monkeypatch.setattr(service.history.restore, "LOOK_SECONDS", 0.01)


class Bench:
    """A restorer on stores of its own; `on_read` and `on_merged` happen in mid-work."""

    def __init__(self, dsn: str, connection: Connection, history: Any) -> None:
        self.dsn = dsn
        self.connection = connection
        self.states = StoreStates(connection)
        self.velocity = ValkeyVelocityHistory(connection)
        self.lines: list[str] = []
        tagger = Tagger(derive_tag_keys(bytes(32)))
        self.restorer = Restorer(history, self.states, self.velocity, CATALOG, tagger, self)
        self.on_read: Any = lambda: None
        self.on_merged: Any = lambda: None

    def said(self, text: str) -> None:
        self.lines.append(text)

    def read(self, events: int, of: int) -> None:
        self.on_read()

    def merged(self, series: int) -> None:
        self.on_merged()

    async def rebuild(self) -> Any:
        return await self.restorer.rebuild(0, _settled)

    async def backfill(self, *names: str) -> Any:
        return await self.restorer.backfill(names, 0, _settled)

    async def orders(self) -> Any:
        plan = declared_series(CATALOG)["user_orders"].plan
        return (await self.velocity.peek("user", USER, plan, now_ms(), 1)).answers

    async def begin(self, *without: str) -> None:
        """Make the store one that counted everything since its beginning, but for some series."""
        known = known_series(declared_series(CATALOG), now_ms())
        await self.states.begin({name: one for name, one in known.items() if name not in without})


async def _settled() -> None:
    pass


@asynccontextmanager
async def bench(dsn: str, valkey_url: str, **more: Any) -> AsyncIterator[Bench]:
    connection = connect(valkey_url)
    try:
        async with history_of(dsn) as history:
            yield Bench(dsn, connection, history)
    finally:
        await connection.close()


def checkouts(count: int, **more: Any) -> list[Any]:
    """Purchases of one user in the last minutes."""
    begin = datetime.now(UTC) - timedelta(minutes=5)
    more = {"versions": OURS, "tags": {"user": USER}, **more}
    return [entry(begin + timedelta(milliseconds=7 * index), **more) for index in range(count)]


async def test_a_store_that_is_cleared_meanwhile_is_not_called_complete(
    fresh_postgres_url: str, fresh_valkey_url: str
) -> None:
    """Cleared while history is read or put in place: refused, and the next try does it all."""
    await store(fresh_postgres_url, checkouts(20))
    async with bench(fresh_postgres_url, fresh_valkey_url) as one:
        with redis.Redis.from_url(fresh_valkey_url) as client:
            for moment in ("on_read", "on_merged"):
                setattr(one, moment, client.flushdb)
                with pytest.raises(RestoreError, match="lost or cleared meanwhile"):
                    await one.rebuild()
                setattr(one, moment, lambda: None)
                assert not (await one.states.read()).is_whole
        await one.rebuild()
        assert (await one.states.read()).is_whole
        assert await one.orders() == {"user_orders_30d": 20, "user_orders_90d": 20}


async def test_what_was_missed_is_counted_without_a_moment_of_doubt(
    fresh_postgres_url: str, fresh_valkey_url: str
) -> None:
    """A rebuild of a store that is there heals it: it stays whole all the while."""
    await store(fresh_postgres_url, checkouts(9))
    async with bench(fresh_postgres_url, fresh_valkey_url) as one:
        await one.begin()
        await one.states.add_missed(9, now_ms())
        with redis.Redis.from_url(fresh_valkey_url) as client:
            life = client.hget("ts:{know}:state", "life")
            one.on_read = one.on_merged = lambda: _is_marked(client, life)
            await one.rebuild()
        state = await one.states.read()
        assert (state.is_whole, state.missed, state.missed_since_ms) == (True, 0, None)
        assert (await one.orders())["user_orders_30d"] == 9


def _is_marked(client: redis.Redis, life: bytes) -> None:
    assert all(client.get(key) == life for key in client.scan_iter("ts:{alive:*"))


async def test_a_primary_of_a_cluster_that_lost_everything_gets_it_back(
    fresh_postgres_url: str,
) -> None:
    """What the others kept is replaced by the same; what was lost is there again."""
    users = [f"{number:022d}" for number in range(40)]
    drafts = [
        entry(one.observed_at, tags={"user": users[n % 40]}, versions=OURS)
        for n, one in enumerate(checkouts(120))
    ]
    await store(fresh_postgres_url, drafts)
    plan = declared_series(CATALOG)["user_orders"].plan
    with ValkeyCluster() as cluster:
        async with bench(fresh_postgres_url, cluster.url) as one:
            await one.rebuild()
            with redis.Redis(port=cluster.primaries()[1].port) as client:
                client.flushall()
            assert not (await one.states.read()).is_whole
            await one.rebuild()
            assert (await one.states.read()).is_whole
            states = [await one.velocity.peek("user", user, plan, now_ms(), 5) for user in users]
    assert {state.answers["user_orders_30d"] for state in states} == {3}


async def test_what_was_lost_a_moment_ago_is_in_the_history(
    fresh_postgres_url: str, fresh_valkey_url: str
) -> None:
    """Live records speak only of the time after the loss: the cut is never before it."""
    now = datetime.now(UTC)
    tags = {"user": USER}
    drafts = [entry(now - timedelta(milliseconds=n), tags=tags, versions=OURS) for n in range(5)]
    await store(fresh_postgres_url, drafts)
    async with bench(fresh_postgres_url, fresh_valkey_url) as one:
        await one.rebuild()
        assert (await one.orders())["user_orders_30d"] == 5


async def test_a_worker_that_does_not_record_a_series_takes_it_back(
    fresh_postgres_url: str,
    fresh_valkey_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An idle service with another catalog is noticed too: the series is not called complete."""
    monkeypatch.setattr(service.completeness, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(service.history.restore, "LOOK_SECONDS", 0.5)
    await store(fresh_postgres_url, checkouts(3))
    content = yaml.safe_load(DEFAULT_PATH.read_text("utf-8"))
    content["series"] = [one for one in content["series"] if one["name"] != NOT_THERE]
    older = tmp_path / "older.yaml"
    older.write_text(yaml.safe_dump(content), encoding="utf-8")
    async with bench(fresh_postgres_url, fresh_valkey_url) as one:
        await one.begin(NOT_THERE)
        async with (
            asyncpg.create_pool(fresh_postgres_url, min_size=0, max_size=1) as pool,
            Completeness(one.connection, Catalog.load(older), pool),
        ):
            with pytest.raises(RestoreError, match="another catalog"):
                await one.backfill()
        assert NOT_THERE not in (await one.states.read()).series


async def test_events_that_another_catalog_counted_after_the_cut_are_refused(
    fresh_postgres_url: str, fresh_valkey_url: str
) -> None:
    """What a worker with another catalog counts since the cut may lack the series."""
    await store(fresh_postgres_url, checkouts(5))
    async with bench(fresh_postgres_url, fresh_valkey_url) as one:
        await one.begin("user_orders")
        late = entry(datetime.now(UTC) + timedelta(seconds=2), versions={"catalog": "1" * 64})
        await store(fresh_postgres_url, [late])
        with pytest.raises(RestoreError, match="another catalog"):
            await one.backfill()
        assert "user_orders" not in (await one.states.read()).series


async def test_history_of_other_catalogs_is_restored_under_todays(
    fresh_postgres_url: str, fresh_valkey_url: str
) -> None:
    """Entries of earlier catalogs count, and what they left in a changed series is deleted."""
    await store(fresh_postgres_url, checkouts(5, versions={"catalog": "1" * 64}))
    login = {"event.type": "login", "login.succeeded": True}
    begin = datetime.now(UTC) - timedelta(minutes=9)
    other = f"{2:022d}"
    old = entry(begin, tags={"user": other}, fields=login, versions={"catalog": "1" * 64})
    await store(fresh_postgres_url, [old])
    async with bench(fresh_postgres_url, fresh_valkey_url) as one:
        await one.begin("user_orders", "user_login_failures")
        with redis.Redis.from_url(fresh_valkey_url) as client:
            stale = f"ts:{{user:{other}}}:user_login_failures"
            client.zadd(stale, {f"{1:016d}": now_ms() - 5_000})
            client.zadd(f"ts:{{user:{other}}}:user_returns", {f"{1:016d}": now_ms()})
            await one.backfill()
            assert client.exists(stale) == 0
            assert client.exists(f"ts:{{user:{other}}}:user_returns") == 1
        assert (await one.orders())["user_orders_30d"] == 5
        assert await one.backfill() is None
        with redis.Redis.from_url(fresh_valkey_url) as client:
            in_use = f"ts:{{user:{USER}}}:user_orders"
            there: list[int] = []
            one.on_read = lambda: there.append(client.exists(in_use))
            await one.backfill("user_orders")
            assert there
            assert all(there), "a series that is offered is there all the while"


async def test_a_backfill_of_a_lost_store_or_an_unknown_series_is_refused(
    fresh_postgres_url: str, fresh_valkey_url: str
) -> None:
    """The error says what to do instead."""
    await store(fresh_postgres_url, checkouts(1))
    async with bench(fresh_postgres_url, fresh_valkey_url) as one:
        with pytest.raises(RestoreError, match="features rebuild"):
            await one.backfill()
        with pytest.raises(RestoreError, match="Did you mean `user_orders`"):
            await one.backfill("user_order")


async def test_a_series_asks_only_for_the_past_that_it_keeps(
    fresh_postgres_url: str, fresh_valkey_url: str
) -> None:
    """Older events give no record, but for the first time that somebody was seen."""
    device = {"device": f"{3:022d}"}
    days = [datetime.now(UTC) - timedelta(days=days) for days in (150, 80, 1)]
    await store(fresh_postgres_url, [entry(at, tags=device, versions=OURS) for at in days])
    async with bench(fresh_postgres_url, fresh_valkey_url) as one:
        await one.rebuild()
        plan = declared_series(CATALOG)["device_first_seen"].plan
        seen = await one.velocity.peek("device", device["device"], plan, now_ms(), 1)
        assert seen.answers["device_first_seen_seconds"] == pytest.approx(150 * 86_400, abs=60)
        assert seen.first_ms == round(days[0].timestamp() * 1000)


async def test_entries_in_the_spool_of_a_living_writer_are_waited_for(
    fresh_postgres_url: str, tmp_path: Path
) -> None:
    """While they wait the history is not whole, and the command says so."""
    spool = Spool.create(tmp_path, "0" * 32, 1 << 20)
    ring = Keyring(FileKek(KEK))
    await bring_in_spools(tmp_path, fresh_postgres_url, ring)
    spool.append(b"a group of entries")
    assert filled_spools(tmp_path) == [spool.path]
    with pytest.raises(EntriesWait, match="1 spool file"):
        await bring_in_spools(tmp_path, fresh_postgres_url, ring)
    spool.clear()
    await bring_in_spools(tmp_path, fresh_postgres_url, ring)
    spool.remove()


async def test_an_extract_is_a_history_file(
    fresh_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every column, in its type; one row an event; row groups; a failure leaves no file."""
    fields = {"order.amount_base_minor": 5, "login.succeeded": True, "order.country": "CN"}
    await store(
        fresh_postgres_url, [entry(START + timedelta(seconds=n), fields=fields) for n in range(5)]
    )
    monkeypatch.setattr("service.history.extract.ROW_GROUP", 2)
    monkeypatch.setattr("service.history.ordered.PAGE_ENTRIES", 2)
    path = tmp_path / "history.parquet"
    begin = round(START.timestamp() * 1000)
    async with history_of(fresh_postgres_url) as history:
        assert await extract(history, Span(begin + 1000, None), path, lambda *_: None) == 4
        with pytest.raises(ExtractError):
            await extract(history, Span(), tmp_path / "no" / "place", lambda *_: None)
    table = pq.read_table(path)
    assert pq.ParquetFile(path).num_row_groups > 1
    assert table.column_names == list(COLUMNS)
    assert table["observed_ms"].to_pylist() == [begin + 1000 * n for n in range(1, 5)]
    row = table.slice(0, 1).to_pylist()[0]
    assert {name: row[name] for name in fields} == fields
    assert (row["outcome"], row["event.type"], row["tag.device"]) == ("approve", "checkout", None)
    types = {"int": "int64", "double": "double", "bool": "bool", "string": "string"}
    assert [str(kind) for kind in table.schema.types] == [types[kind] for kind in COLUMNS.values()]
    assert sorted(tmp_path.iterdir()) == [path]
