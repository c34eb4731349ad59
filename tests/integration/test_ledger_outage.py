"""PostgreSQL stops, freezes and comes back: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest

from service.ledger import recovery as recovery_module
from service.ledger import table as table_module
from service.ledger.drain import AWAY
from service.ledger.errors import DuplicateEvent, LedgerUnavailable
from service.ledger.keys import FileKek, Keyring
from service.ledger.reader import LedgerReader
from service.ledger.verify import verify_log
from service.ledger.writer import LedgerWriter, WriterSettings
from tests.integration.ledger_cases import KEK, Postgres, draft, gapless_sequences

pytest_plugins = ["tests.integration.ledger_fixtures"]


@pytest.fixture(autouse=True)
def running_again(ledger_postgres: Postgres) -> Iterator[None]:
    """Whatever a test does to the server, the next one finds it running."""
    yield
    ledger_postgres.start()


@pytest.fixture
def looked_into(ledger_dsn: str) -> Callable[[str], Any]:
    """Asks the server through a fresh connection each time."""

    async def ask(query: str) -> Any:
        connection = await asyncpg.connect(ledger_dsn)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    return ask


async def until_live(writer: LedgerWriter) -> None:
    for _ in range(500):
        if writer.status().mode == "live":
            return
        await asyncio.sleep(0.02)
    raise AssertionError(writer.status())


async def stored_events(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        await gapless_sequences(connection)
        rows = await connection.fetch("SELECT event_key FROM ledger_entry ORDER BY writer, seq")
        return [row["event_key"].decode() for row in rows if row["event_key"] is not None]
    finally:
        await connection.close()


async def assert_proven(settings: WriterSettings) -> None:
    report = await verify_log(settings.dsn, wrapper=FileKek(KEK), spool_dir=settings.spool_dir)
    assert report.exit_code == 0, report.render()


@pytest.mark.asyncio
async def test_stopped_full_back(
    writer_settings: WriterSettings, ledger_postgres: Postgres, ring: Keyring
) -> None:
    """Stopped: spool. Full: refused. Back: drained, in order, and live again."""
    writer = await LedgerWriter.start(writer_settings._replace(spool_max_bytes=20_000), ring)
    await writer.append(draft("e-0"), timeout_s=5)
    ledger_postgres.stop()
    taken = ["e-0"]
    full = ""
    while not full:
        event = f"e-{len(taken)}"
        try:
            await writer.append(draft(event), timeout_s=5)
        except LedgerUnavailable as error:
            full = str(error)
        else:
            taken.append(event)
    assert "spool is full" in full
    assert 5 < len(taken) < 50
    status = writer.status()
    assert (status.mode, status.spooled_entries) == ("spooling", len(taken) - 1)
    with pytest.raises(LedgerUnavailable):
        await writer.append(draft("refused"), timeout_s=5)
    ledger_postgres.start()
    await until_live(writer)
    await writer.append(draft("last"), timeout_s=5)
    assert await stored_events(writer_settings.dsn) == [*taken, "last"]
    assert writer.status().spooled_bytes == 0
    await writer.close()
    assert list(writer_settings.spool_dir.iterdir()) == []
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_batch_larger_than_the_room_is_taken_in_part(
    writer_settings: WriterSettings, ledger_postgres: Postgres, ring: Keyring
) -> None:
    """Of a batch that does not fit, some entries are acknowledged and stored, the rest refused."""
    writer = await LedgerWriter.start(writer_settings._replace(spool_max_bytes=20_000), ring)
    ledger_postgres.stop()
    drafts = [draft(f"e-{number:03}") for number in range(200)]
    results = await asyncio.gather(
        *(writer.append(entry, timeout_s=5) for entry in drafts), return_exceptions=True
    )
    taken = [f"e-{number:03}" for number, result in enumerate(results) if result is None]
    assert 5 < len(taken) < 50
    ledger_postgres.start()
    await until_live(writer)
    assert sorted(await stored_events(writer_settings.dsn)) == taken
    await writer.close()
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_frozen_server_costs_no_more_than_the_budget(
    writer: LedgerWriter, writer_settings: WriterSettings, ledger_postgres: Postgres
) -> None:
    """A server that neither answers nor refuses: the entry is in the spool within the budget.

    The commit under way when it froze may yet happen; it is drained as well, and stored once.
    """
    await writer.append(draft("e-0"), timeout_s=5)
    ledger_postgres.freeze()
    try:
        for number in range(1, 6):
            begun = time.monotonic()
            await writer.append(draft(f"e-{number}"), timeout_s=0.4)
            assert time.monotonic() - begun < 0.4
        assert writer.status().spooled_entries == 5
    finally:
        ledger_postgres.thaw()
    await until_live(writer)
    await asyncio.sleep(0.1)
    assert await stored_events(writer_settings.dsn) == [f"e-{number}" for number in range(6)]
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_commit_whose_outcome_is_unknown_is_stored_once(
    writer: LedgerWriter, writer_settings: WriterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit happened but its confirmation was lost: drained, and there once."""
    await writer.append(draft("e-0"), timeout_s=5)
    real = table_module.insert
    lost = iter([True])

    async def committed_but_unheard(connection: Any, *arguments: Any) -> None:
        await real(connection, *arguments)
        if next(lost, False):
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")

    monkeypatch.setattr("service.ledger.writer.insert", committed_but_unheard)
    await asyncio.gather(
        *(writer.append(draft(f"e-{number}"), timeout_s=5) for number in range(1, 9))
    )
    await until_live(writer)
    await writer.append(draft("e-9"), timeout_s=5)
    assert sorted(await stored_events(writer_settings.dsn)) == [f"e-{n}" for n in range(10)]
    assert writer.status().drained_entries == 0
    await assert_proven(writer_settings)


@pytest.mark.asyncio
@pytest.mark.parametrize("committed", [True, False])
async def test_unknown_outcome_without_room_in_the_spool(
    writer_settings: WriterSettings,
    ring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    *,
    committed: bool,
) -> None:
    """Refused entries may be there or not; either way no number is missing or given twice."""
    writer = await LedgerWriter.start(writer_settings._replace(spool_max_bytes=0), ring)
    await writer.append(draft("e-0"), timeout_s=5)
    real = table_module.insert
    lost = iter([True])

    async def unheard(connection: Any, *arguments: Any) -> None:
        fails = next(lost, False)
        if not fails or committed:
            await real(connection, *arguments)
        if fails:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")

    monkeypatch.setattr("service.ledger.writer.insert", unheard)
    with pytest.raises(LedgerUnavailable):
        await writer.append(draft("e-1"), timeout_s=5)
    await until_live(writer)
    await writer.append(draft("e-2"), timeout_s=5)
    expected = {"e-0", "e-1", "e-2"} if committed else {"e-0", "e-2"}
    assert set(await stored_events(writer_settings.dsn)) == expected
    if committed:
        with pytest.raises(DuplicateEvent):
            await writer.append(draft("e-1"), timeout_s=5)
    await writer.close()
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_refused_entry_that_is_in_a_broken_spool_after_all(
    writer_settings: WriterSettings,
    ledger_postgres: Postgres,
    ring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """fsync fails and so does the cut: the group may be in the file, so its number is not reused.

    The file is put back after the writer is gone, as `kill -9` would leave it, and is drained.
    """
    writer = await LedgerWriter.start(writer_settings, ring)
    await writer.append(draft("e-0"), timeout_s=5)
    ledger_postgres.stop()

    def failing(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("service.ledger.spool.os.fsync", failing)
    monkeypatch.setattr("service.ledger.spool.os.ftruncate", failing)
    with pytest.raises(LedgerUnavailable, match="Input/output error"):
        await writer.append(draft("e-1"), timeout_s=5)
    ledger_postgres.start()
    await until_live(writer)
    await writer.append(draft("e-2"), timeout_s=5)
    (path,) = writer_settings.spool_dir.glob("*.spool")
    left = path.read_bytes()
    await writer.close()
    monkeypatch.undo()
    path.write_bytes(left)
    after = await LedgerWriter.start(writer_settings, ring)
    await after.close()
    assert set(await stored_events(writer_settings.dsn)) == {"e-0", "e-1", "e-2"}
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_outage_under_load(
    writer: LedgerWriter, writer_settings: WriterSettings, ledger_postgres: Postgres
) -> None:
    """Two outages under load: every acknowledged entry is there once, in gapless numbers."""
    taken: list[str] = []
    stop = asyncio.Event()

    async def client(name: str) -> None:
        number = 0
        while not stop.is_set():
            event = f"{name}-{number}"
            number += 1
            await writer.append(draft(event, person=f"user:{number % 7}"), timeout_s=2)
            taken.append(event)

    clients = [asyncio.create_task(client(f"c{number}")) for number in range(8)]
    for _ in range(2):
        await asyncio.sleep(0.2)
        await asyncio.to_thread(ledger_postgres.stop)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(ledger_postgres.start)
        await until_live(writer)
    stop.set()
    await asyncio.gather(*clients)
    assert writer.status().drained_entries > 10
    stored = await stored_events(writer_settings.dsn)
    assert sorted(stored) == sorted(taken)
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_starts_without_postgres(
    writer_settings: WriterSettings, ledger_postgres: Postgres, ring: Keyring
) -> None:
    """A writer starts while PostgreSQL is away, and its month key arrives with its entries."""
    ledger_postgres.stop()
    writer = await LedgerWriter.start(writer_settings, ring)
    first = draft("e-1")
    await writer.append(first, timeout_s=5)
    with pytest.raises(DuplicateEvent):
        await writer.append(draft("e-1"), timeout_s=5)
    reader = LedgerReader(None, ring, "test", writer=writer)
    found = await reader.find_by_event_key(b"e-1")
    assert found is not None
    assert (found.entry_id, found.core) == (first.entry_id, {"outcome": "approve"})
    assert (found.subject_state, found.body_hash) == ("spooled", first.body_hash)
    ledger_postgres.start()
    await until_live(writer)
    assert await stored_events(writer_settings.dsn) == ["e-1"]
    await writer.close()
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_event_answered_on_both_sides_of_an_outage(
    writer_settings: WriterSettings, ledger_postgres: Postgres, looked_into: Callable[[str], Any]
) -> None:
    """Two writers answered one event while apart: both entries stay, one keeps the event key."""
    writers = [await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK))) for _ in range(2)]
    ledger_postgres.stop()
    for writer in writers:
        await writer.append(draft("same"), timeout_s=5)
        await writer.append(draft(), timeout_s=5)
    ledger_postgres.start()
    for writer in writers:
        await until_live(writer)
    rows = await looked_into("SELECT event_key FROM ledger_entry WHERE event_key IS NOT NULL")
    assert [row["event_key"] for row in rows] == [b"same"]
    assert (await looked_into("SELECT count(*) FROM ledger_entry"))[0][0] == 4
    assert sum(writer.status().superseded_entries for writer in writers) == 1
    for writer in writers:
        await writer.close()
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_drain_cut_short_at_every_group(
    writer_settings: WriterSettings,
    ledger_postgres: Postgres,
    ring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A drain that fails before or after any of its commits goes on, and stores each entry once."""
    monkeypatch.setattr(recovery_module, "RETRY_SECONDS", (0.02, 0.02))
    writer = await LedgerWriter.start(writer_settings, ring)
    ledger_postgres.stop()
    for number in range(6):
        await writer.append(draft(f"e-{number}"), timeout_s=5)
    real = table_module.absorb
    steps = iter([fails for _ in range(8) for fails in ("before", "after", "not")])
    monkeypatch.setattr("service.ledger.drain.DRAIN_ROWS", 1)

    async def stumbling(connection: Any, group: Any) -> Any:
        step = next(steps, "not")
        if step == "before":
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        done = await real(connection, group)
        if step == "after":
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        return done

    monkeypatch.setattr("service.ledger.drain.absorb", stumbling)
    ledger_postgres.start()
    await until_live(writer)
    assert await stored_events(writer_settings.dsn) == [f"e-{number}" for number in range(6)]
    await writer.close()
    await assert_proven(writer_settings)


@pytest.mark.asyncio
async def test_caller_that_gave_up_is_not_written(
    writer: LedgerWriter, writer_settings: WriterSettings, ledger_postgres: Postgres
) -> None:
    """An entry whose caller left while it queued is never written; its number is not used up."""
    waiting = asyncio.ensure_future(writer.append(draft("gone"), timeout_s=5))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await writer.append(draft("e-1"), timeout_s=5)
    assert await stored_events(writer_settings.dsn) == ["e-1"]


@pytest.mark.asyncio
async def test_what_hangs_between_two_batches(writer: LedgerWriter, ledger_dsn: str) -> None:
    """It costs the connection and its caller an error; entries are stored all the same."""

    async def hang(connection: Any) -> None:
        await connection.execute("SELECT pg_sleep(20)")

    with pytest.raises(AWAY):
        await writer.between_batches(hang)
    assert writer.status().mode == "spooling"
    await writer.append(draft("e-1"), timeout_s=5)
    await until_live(writer)
    assert await stored_events(ledger_dsn) == ["e-1"]
