"""One thing at a time on the writer's connection; and a bug in a batch costs that batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from service.ledger import writer as writer_module
from service.ledger.backlog import Backlog
from service.ledger.errors import DuplicateEvent, LedgerUnavailable
from service.ledger.keys import FileKek
from service.ledger.verify import verify_log
from service.ledger.writer import LedgerWriter, WriterSettings
from tests.integration.ledger_cases import KEK, Postgres, draft

pytest_plugins = ["tests.integration.ledger_fixtures"]
_COMMITS = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    "AND application_name = 'touchstone-ledger')"
)


@pytest.fixture(autouse=True)
def running_again(ledger_postgres: Postgres) -> Iterator[None]:
    """Whatever a test does to the server, the next one finds it running."""
    yield
    ledger_postgres.start()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, too, what is done between batches has its time."""
    monkeypatch.setattr("service.ledger.writer.BETWEEN_SECONDS", 30)


@asynccontextmanager
async def held(dsn: str, *tasks: asyncio.Task[Any]) -> AsyncIterator[None]:
    """Let no commit of the writer end; the body begins when one of the tasks' is under way."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE ledger_entry IN ACCESS EXCLUSIVE MODE")
            for _ in range(500):
                await asyncio.sleep(0.01)
                if await connection.fetchval(_COMMITS):
                    break
            else:
                raise AssertionError(tasks)
            yield
    finally:
        await connection.close()


async def test_nothing_is_done_in_the_middle_of_a_batch(
    writer: LedgerWriter, ledger_dsn: str
) -> None:
    """What is to be done between batches waits for the one under way."""
    done: list[str] = []

    async def act(connection: Any) -> None:
        await connection.execute("SELECT 1")
        done.append("act")

    storing = asyncio.create_task(writer.append(draft("e-1"), timeout_s=60))
    storing.add_done_callback(lambda _: done.append("entry"))
    async with held(ledger_dsn, storing):
        acting = asyncio.create_task(writer.between_batches(act))
        await asyncio.sleep(0.1)
        assert done == []
        assert not acting.done()
    await storing
    assert await acting
    assert sorted(done) == ["act", "entry"]
    assert writer.status().mode == "live"


async def test_no_batch_begins_while_something_is_done_between(writer: LedgerWriter) -> None:
    """An entry that comes meanwhile is stored afterwards."""
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def act(connection: Any) -> None:
        begun.set()
        await goes_on.wait()
        await connection.execute("SELECT 1")

    acting = asyncio.create_task(writer.between_batches(act))
    await begun.wait()
    storing = asyncio.create_task(writer.append(draft("e-1"), timeout_s=60))
    await asyncio.sleep(0.3)
    assert not storing.done()
    goes_on.set()
    assert await acting
    await storing
    assert writer.status().mode == "live"


async def test_a_repeat_is_answered_when_the_first_is_durable(
    writer: LedgerWriter, ledger_dsn: str, connection: Any
) -> None:
    """While the first is being stored nobody is told that the event is recorded."""
    both = [asyncio.create_task(writer.append(draft("e-1"), timeout_s=60)) for _ in range(2)]
    async with held(ledger_dsn, *both):
        await asyncio.sleep(0.1)
        assert [one.done() for one in both] == [False, False]
    told = await asyncio.gather(*both, return_exceptions=True)
    assert told[0] is None
    assert isinstance(told[1], DuplicateEvent)
    assert await connection.fetchval("SELECT count(*) FROM ledger_entry") == 1


@pytest.mark.parametrize("place", ["table", "spool"])
async def test_a_bug_costs_its_batch_and_no_number_is_given_again(
    writer: LedgerWriter,
    writer_settings: WriterSettings,
    ledger_postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """Whoever waits is told at once; what was stored all the same keeps its number, and the next
    entry gets another: the log holds."""
    owner: Any = writer_module
    if place == "spool":
        ledger_postgres.stop()
        await writer.append(draft("e-0"), timeout_s=60)
        assert writer.status().mode == "spooling"
        owner = Backlog
    name = "put" if place == "spool" else "insert"
    real = getattr(owner, name)
    bugs = iter([True])

    async def buggy(*arguments: Any) -> Any:
        done = await real(*arguments)
        if next(bugs, False):
            raise RuntimeError("a bug")
        return done

    monkeypatch.setattr(owner, name, buggy)
    with pytest.raises(LedgerUnavailable, match="RuntimeError"):
        await writer.append(draft("e-1"), timeout_s=60)
    await writer.append(draft("e-2"), timeout_s=60)
    ledger_postgres.start()
    for _ in range(1000):
        if writer.status().mode == "live":
            break
        await asyncio.sleep(0.02)
    await writer.append(draft("e-3"), timeout_s=60)
    await writer.close()
    report = await verify_log(
        writer_settings.dsn, wrapper=FileKek(KEK), spool_dir=writer_settings.spool_dir
    )
    assert report.exit_code == 0, report.render()
    assert report.entries == (3 if place == "table" else 4)
