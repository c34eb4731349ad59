"""Lists and many workers: all see every change, soon, whoever makes it and in whatever order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rules.listed import Listed
from service.api_key import KeyHash
from service.embedded import EmbeddedServers
from service.lists import membership
from service.lists.entries import Entity, StatedEntry
from service.lists.history import ListsAt
from service.lists.membership import Lists
from service.lists.table import add_entries, create_list, remove_entries
from service.secrets_files import read_keys
from tests.deploying import pack_of, set_of
from tests.events import event
from tests.http_client import Client
from tests.people import person_key
from tests.running import service_process, settings_on

LISTED = Listed("watched", "device")
MOST = 1_000_000
PATIENCE_SECONDS = 10  # tests share their machine


def tag(number: int) -> str:
    return f"tag{number:019}"


def stated(number: int, expires_at: datetime | None = None) -> StatedEntry:
    return StatedEntry("device", tag(number), "a test", "ana", expires_at)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def is_on(lists: Lists | ListsAt, number: int, at_ms: int | None = None) -> bool:
    moment = now_ms() if at_ms is None else at_ms
    return lists.facts([LISTED], {"device": tag(number)}, moment)[LISTED.fact]


@pytest.fixture
async def connection(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to a database with one list."""
    opened = await asyncpg.connect(fresh_postgres_url)
    await create_list(opened, "watched", "watch", "for tests", "ana")
    yield opened
    await opened.close()


async def add(connection: Any, *entries: StatedEntry) -> None:
    async with connection.transaction():
        await add_entries(connection, "watched", entries, "ana", MOST)


async def remove(connection: Any, *numbers: int) -> None:
    entities = [Entity("device", tag(number)) for number in numbers]
    async with connection.transaction():
        await remove_entries(connection, "watched", entities, "over", "ana")


async def test_nothing_is_claimed_before_the_lists_were_read(connection: Any) -> None:
    """A worker that never reached the database knows no list, which is not the same as false."""
    lists = Lists()
    assert lists.facts([LISTED], {"device": tag(1)}, now_ms()) == {}
    assert not lists.is_read
    await lists.refresh(connection)
    assert not is_on(lists, 1)
    assert lists.is_read


async def test_what_is_read_at_once_is_what_is_followed(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After hundreds of changes: one who followed, one who starts, and the past agree."""
    monkeypatch.setattr(membership, "PAGE", 7)
    chosen = random.Random(7)
    follower = Lists()
    await follower.refresh(connection)
    expected: set[int] = set()
    for _ in range(40):
        numbers = chosen.sample(range(60), chosen.randrange(1, 20))
        if chosen.random() < 0.6:
            await add(connection, *(stated(number) for number in numbers))
            expected |= set(numbers)
        else:
            await remove(connection, *numbers)
            expected -= set(numbers)
        if chosen.random() < 0.7:
            await follower.refresh(connection)
            assert {number for number in range(60) if is_on(follower, number)} == expected
    await follower.refresh(connection)
    starter = Lists()
    await starter.refresh(connection)
    at = await ListsAt.load(connection, [LISTED])
    moment = now_ms() + 1
    for lists in (follower, starter, at):
        assert {number for number in range(60) if is_on(lists, number, moment)} == expected
    assert len(follower) == len(starter) == len(expected)


async def test_no_change_is_missed_whoever_makes_it(
    connection: Any, fresh_postgres_url: str
) -> None:
    """Writers at the same time, slow ones too: a follower has every entry that was committed."""
    follower = Lists()
    watching = await asyncpg.connect(fresh_postgres_url)
    is_over = asyncio.Event()

    async def follow() -> None:
        while not is_over.is_set():
            await follower.refresh(watching)
            await asyncio.sleep(0)

    async def write(first: int) -> None:
        writer = await asyncpg.connect(fresh_postgres_url)
        for number in range(first, first + 15):
            async with writer.transaction():
                await add_entries(writer, "watched", [stated(number)], "ana", MOST)
                await asyncio.sleep(random.random() / 100)
        await writer.close()

    following = asyncio.create_task(follow())
    await asyncio.gather(*(write(first) for first in (0, 100, 200, 300)))
    is_over.set()
    await following
    await follower.refresh(watching)
    await watching.close()
    wanted = {first + number for first in (0, 100, 200, 300) for number in range(15)}
    assert {number for number in range(400) if is_on(follower, number)} == wanted


async def test_what_expired_leaves_the_memory(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts for nothing at its time, and is dropped later, but not what was added anew."""
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    lists = Lists()
    await lists.refresh(connection)
    await add(connection, stated(1, soon), stated(2, soon), stated(3))
    await lists.refresh(connection)
    assert is_on(lists, 1)
    await asyncio.sleep(0.35)
    assert not is_on(lists, 1)
    assert is_on(lists, 3)
    await add(connection, stated(2))
    await lists.refresh(connection)
    assert len(lists) == 3
    monkeypatch.setattr(membership, "SWEEP", timedelta(0))
    await lists.refresh(connection)
    assert len(lists) == 2
    assert is_on(lists, 2)


async def test_history_cannot_be_rewritten(connection: Any) -> None:
    """Not even in SQL: an entry is only ever removed, once, and deleted only after that."""
    await add(connection, stated(1))
    for change in (
        "reason = 'another'", "expires_at = now() + interval '1 day'", "added_at = now()",
    ):  # fmt: skip
        with pytest.raises(asyncpg.CheckViolationError, match="only ever removed"):
            await connection.execute(f"UPDATE list_entry SET {change}")  # noqa: S608
    with pytest.raises(asyncpg.CheckViolationError, match="removed before it is deleted"):
        await connection.execute("DELETE FROM list_entry")
    await remove(connection, 1)
    again = "UPDATE list_entry SET removed_at = NULL, removed_by = NULL, removal = NULL"
    with pytest.raises(asyncpg.CheckViolationError, match="only ever removed"):
        await connection.execute(again)
    assert await connection.execute("DELETE FROM list_entry") == "DELETE 1"


async def test_every_worker_sees_an_entry(tmp_path: Path) -> None:
    """Two workers, an entry added and removed: soon all decide by it."""
    set_of(pack_of("watched", when='in_list("watched", "device")')).write(tmp_path / "rules")
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=10_000, rules_dir=tmp_path / "rules")
        with service_process(settings, tmp_path / "log") as (running, _):
            opened = await asyncpg.connect(settings.postgres.url)
            hashed = KeyHash(read_keys(settings).tag)
            key = await person_key(opened, hashed, "ana", "analyst", "caller")
            await opened.close()

            async def statuses() -> set[int]:
                found = set()
                for _ in range(12):  # a connection each, which either worker may take
                    async with Client(key, port=running.port) as client:
                        one = event("login", device={"id": "dev-1"})
                        answer = await client.score(one)
                        assert answer.status == 200, answer.content
                        found.add(len(answer.json["rule_hits"]))
                return found

            async def until(wanted: set[int]) -> None:
                deadline = time.monotonic() + PATIENCE_SECONDS
                while await statuses() != wanted:
                    assert time.monotonic() < deadline

            async with Client(key, port=running.port) as client:
                made = {"name": "watched", "purpose": "watch", "description": "for a test"}
                assert (await client.score(made, "/v1/lists")).status == 201
                assert await statuses() == {0}
                body = {"entries": [{"kind": "device", "value": "dev-1"}], "reason": "a test"}
                added = await client.score(body, "/v1/lists/watched/entries")
                assert added.status == 200, added.content
                await until({1})
                removed = await client.score(body, "/v1/lists/watched/remove")
                assert removed.json["removed"] == 1
                await until({0})
