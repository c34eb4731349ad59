"""What another process changes in the database is followed, soon, whatever happens in between."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg

from service.changes import POLL_SECONDS, Changes


class Follower:
    """Reads a table at each call and remembers when it saw what."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.calls = 0
        self.fails = False

    async def refresh(self, connection: Any) -> None:
        self.calls += 1
        if self.fails:
            raise ValueError("cannot be read")
        self.seen.append(await connection.fetchval("SELECT count(*) FROM change_test"))

    async def until(self, count: int) -> float:
        started = time.monotonic()
        async with asyncio.timeout(10):
            while not (self.seen and self.seen[-1] == count):  # noqa: ASYNC110 - a poll is the point
                await asyncio.sleep(0.005)
        return time.monotonic() - started


async def prepared(dsn: str) -> Any:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE change_test (number int)")
    return connection


async def test_a_notified_change_is_seen_before_the_next_poll(fresh_postgres_url: str) -> None:
    """NOTIFY wakes the follower: of twenty changes most are seen in a fraction of the poll."""
    connection = await prepared(fresh_postgres_url)
    follower = Follower()
    async with Changes(fresh_postgres_url) as changes:
        changes.follow("change_test", follower.refresh)
        await follower.until(0)
        waits = []
        for count in range(1, 21):
            await connection.execute("INSERT INTO change_test VALUES (1); NOTIFY change_test")
            waits.append(await follower.until(count))
    await connection.close()
    assert sorted(waits)[10] < POLL_SECONDS / 2


async def test_a_change_that_nobody_notifies_is_seen(fresh_postgres_url: str) -> None:
    """A lost notification delays a change by the poll at most."""
    connection = await prepared(fresh_postgres_url)
    follower = Follower()
    async with Changes(fresh_postgres_url) as changes:
        changes.follow("change_test", follower.refresh)
        await follower.until(0)
        await connection.execute("INSERT INTO change_test VALUES (1)")
        await follower.until(1)
    await connection.close()


async def test_a_lost_connection_is_made_again(fresh_postgres_url: str) -> None:
    """What changed while the connection was gone is seen after it, and notified again later."""
    connection = await prepared(fresh_postgres_url)
    follower = Follower()
    async with Changes(fresh_postgres_url) as changes:
        changes.follow("change_test", follower.refresh)
        await follower.until(0)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        await connection.execute("INSERT INTO change_test VALUES (1)")
        await follower.until(1)
        await connection.execute("INSERT INTO change_test VALUES (1); NOTIFY change_test")
        await follower.until(2)
    await connection.close()


async def test_a_follower_that_fails_is_called_again_and_stops_no_other(
    fresh_postgres_url: str,
) -> None:
    """One follower's error is its own."""
    connection = await prepared(fresh_postgres_url)
    failing, other = Follower(), Follower()
    failing.fails = True
    async with Changes(fresh_postgres_url) as changes:
        changes.follow("change_test", failing.refresh)
        changes.follow("change_other", other.refresh)
        await other.until(0)
        await connection.execute("INSERT INTO change_test VALUES (1)")
        await other.until(1)
        assert failing.calls > 1
        failing.fails = False
        await failing.until(1)
    await connection.close()


async def test_a_slow_follower_delays_no_other(fresh_postgres_url: str) -> None:
    """One waits in a query and one elsewhere; a third sees each change before the next poll."""
    connection = await prepared(fresh_postgres_url)
    follower, begun = Follower(), asyncio.Semaphore(0)

    async def waits_in_a_query(slow: Any) -> None:
        begun.release()
        await slow.execute("SELECT pg_sleep(60)")

    async def waits_elsewhere(_: Any) -> None:
        begun.release()
        await asyncio.sleep(60)

    async with Changes(fresh_postgres_url) as changes:
        changes.follow("change_query", waits_in_a_query)
        changes.follow("change_else", waits_elsewhere)
        await begun.acquire()
        await begun.acquire()
        changes.follow("change_test", follower.refresh)
        await follower.until(0)
        waits = []
        for count in range(1, 6):
            await connection.execute("INSERT INTO change_test VALUES (1); NOTIFY change_test")
            waits.append(await follower.until(count))
        left = time.monotonic()
    assert time.monotonic() - left < POLL_SECONDS * 4  # slow ones do not hold up the end
    await connection.close()
    assert sorted(waits)[2] < POLL_SECONDS / 2


async def test_calls_of_one_follower_never_overlap(fresh_postgres_url: str) -> None:
    """Changes that come during a call are seen by one call after it."""
    connection = await prepared(fresh_postgres_url)
    under_way, most, seen = 0, 0, 0

    async def refresh(own: Any) -> None:
        nonlocal under_way, most, seen
        under_way += 1
        most = max(most, under_way)
        seen = await own.fetchval("SELECT count(*) FROM change_test")
        await asyncio.sleep(0.05)
        under_way -= 1

    async with Changes(fresh_postgres_url) as changes:
        changes.follow("change_test", refresh)
        for _ in range(30):
            await connection.execute("INSERT INTO change_test VALUES (1); NOTIFY change_test")
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while seen != 30:  # noqa: ASYNC110 - a poll is the point
                await asyncio.sleep(0.005)
    await connection.close()
    assert most == 1
