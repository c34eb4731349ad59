"""Entries in a real PostgreSQL: what is written, what is found again, what is written once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from service.ledger.errors import (
    BadDraft,
    DuplicateEvent,
    LedgerUnavailable,
    NotDurable,
    SealBroken,
    WrongKek,
)
from service.ledger.keys import FileKek, Keyring
from service.ledger.reader import LedgerReader
from service.ledger.strict import check_durability
from service.ledger.verify import verify_log
from service.ledger.writer import LedgerWriter, WriterSettings
from tests.integration.ledger_cases import (
    KEK,
    OBSERVED,
    VERSIONS,
    Postgres,
    draft,
    gapless_sequences,
)

pytest_plugins = ["tests.integration.ledger_fixtures"]


@pytest.mark.asyncio
async def test_entry_is_found_as_it_was(writer: LedgerWriter, reader: LedgerReader) -> None:
    """Core, subject, tags, time and versions come back, by entry id and by event key."""
    entry = draft("e-1", core=b'{"score":0.25}', subject=b'{"tag":"t"}', staff=b'{"by":"x"}')
    await writer.append(entry, timeout_s=5)
    found = await reader.find_by_entry_id(entry.entry_id, with_subject=True)
    assert found is not None
    assert (found.core, found.subject, found.subject_state) == (
        {"score": 0.25},
        {"tag": "t"},
        "open",
    )
    assert (found.event_key, found.body_hash) == (entry.event_key, entry.body_hash)
    assert (found.observed_at, found.versions, found.type) == (OBSERVED, VERSIONS, "decision")
    by_event = await reader.find_by_event_key(b"e-1")
    assert by_event is not None
    assert by_event.entry_id == entry.entry_id
    assert (by_event.subject, by_event.subject_state) == (None, "sealed")
    assert await reader.find_by_entry_id(os.urandom(16)) is None
    assert await reader.find_by_event_key(b"e-2") is None


@pytest.mark.asyncio
async def test_entry_without_event_subject_or_person(
    writer: LedgerWriter, reader: LedgerReader
) -> None:
    """An entry may have no event, no subject, or a subject block that is nobody's."""
    bare, nobodys = draft(subject=None), draft(person=None)
    await writer.append(bare, timeout_s=5)
    await writer.append(nobodys, timeout_s=5)
    found = await reader.find_by_entry_id(bare.entry_id, with_subject=True)
    assert found is not None
    assert (found.event_key, found.subject_state) == (None, "none")
    found = await reader.find_by_entry_id(nobodys.entry_id, with_subject=True)
    assert found is not None
    assert found.subject_state == "open"


@pytest.mark.asyncio
async def test_keys_are_shared_by_later_writers(
    writer: LedgerWriter, writer_settings: WriterSettings, connection: Any
) -> None:
    """One month key for all writers, one subject key a person and writer, stored with the entry."""
    await writer.append(draft("e-1"), timeout_s=5)
    await writer.append(draft("e-2"), timeout_s=5)
    second = await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK)))
    await second.append(draft("e-3"), timeout_s=5)
    await second.append(draft("e-4", person="user:bob"), timeout_s=5)
    await second.close()
    assert await connection.fetchval("SELECT count(*) FROM ledger_key") == 1
    tags = await connection.fetch("SELECT subject_tag FROM subject_key ORDER BY 1")
    assert [row["subject_tag"] for row in tags] == ["user:alice", "user:alice", "user:bob"]
    assert await connection.fetchval("SELECT count(*) FROM entry_subject") == 4


@pytest.mark.asyncio
async def test_erased_subject_leaves_the_core(
    writer: LedgerWriter, reader: LedgerReader, connection: Any
) -> None:
    """Without its subject key an entry still gives its core, and says that the rest is erased."""
    entry = draft("e-1")
    await writer.append(entry, timeout_s=5)
    await connection.execute("DELETE FROM subject_key WHERE subject_tag = 'user:alice'")
    found = await reader.find_by_entry_id(entry.entry_id, with_subject=True)
    assert found is not None
    assert found.core == {"outcome": "approve"}
    assert (found.subject, found.subject_state) == (None, "erased")


@pytest.mark.asyncio
async def test_block_of_another_entry_does_not_open(
    writer: LedgerWriter, reader: LedgerReader, connection: Any
) -> None:
    """A whole row's header and blocks under another entry id are not taken for that entry."""
    first, second = draft("e-1"), draft("e-2")
    await writer.append(first, timeout_s=5)
    await writer.append(second, timeout_s=5)
    await connection.execute(
        "UPDATE ledger_entry a SET header = b.header, core = b.core FROM ledger_entry b"
        " WHERE a.entry_id = $1 AND b.entry_id = $2",
        first.entry_id,
        second.entry_id,
    )
    with pytest.raises(SealBroken):
        await reader.find_by_entry_id(first.entry_id)


@pytest.mark.asyncio
async def test_event_is_recorded_once(writer: LedgerWriter, connection: Any) -> None:
    """A second entry with the same event key is refused, in the same batch and in a later one."""
    results = await asyncio.gather(
        *(writer.append(draft("e-1"), timeout_s=5) for _ in range(50)), return_exceptions=True
    )
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, DuplicateEvent) for result in results) == 49
    with pytest.raises(DuplicateEvent):
        await writer.append(draft("e-1"), timeout_s=5)
    await writer.append(draft("e-2"), timeout_s=5)
    assert sum((await gapless_sequences(connection)).values()) == 2


@pytest.mark.asyncio
async def test_concurrent_writers_record_each_event_once(
    writer_settings: WriterSettings, connection: Any
) -> None:
    """Three writers race for the same events: one entry each, no gap in any writer's numbers."""
    writers = [await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK))) for _ in range(3)]
    events = [f"e-{number}" for number in range(300)]

    async def race(writer: LedgerWriter, order: list[str]) -> list[str]:
        won = []

        async def one(event: str) -> None:
            try:
                await writer.append(draft(event), timeout_s=30)
            except DuplicateEvent:
                return
            won.append(event)

        for at in range(0, len(order), 40):
            await asyncio.gather(*(one(event) for event in order[at : at + 40]))
        return won

    won = await asyncio.gather(
        race(writers[0], events), race(writers[1], events[::-1]), race(writers[2], events)
    )
    for writer in writers:
        assert writer.status().mode == "live"
        assert writer.status().spooled_entries == 0
        await writer.close()
    assert sorted(event for part in won for event in part) == sorted(events)
    rows = await connection.fetch("SELECT event_key FROM ledger_entry")
    assert sorted(row["event_key"].decode() for row in rows) == sorted(events)
    await gapless_sequences(connection)
    report = await verify_log(writer_settings.dsn, wrapper=FileKek(KEK))
    assert report.exit_code == 0, report.render()


@pytest.mark.asyncio
async def test_entry_id_is_used_once(writer: LedgerWriter, connection: Any) -> None:
    """The same entry id again is the caller's mistake; the others of its batch are stored."""
    entry = draft("e-1")
    await writer.append(entry, timeout_s=5)
    results = await asyncio.gather(
        writer.append(draft("e-2"), timeout_s=5),
        writer.append(draft("e-3")._replace(entry_id=entry.entry_id), timeout_s=5),
        writer.append(draft("e-4"), timeout_s=5),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), BadDraft, type(None)]
    assert sum((await gapless_sequences(connection)).values()) == 3


@pytest.mark.asyncio
async def test_close_makes_durable_what_is_queued(
    writer_settings: WriterSettings, connection: Any
) -> None:
    """Closing flushes, notes the last number, and refuses what comes later."""
    writer = await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK)))
    waiting = [
        asyncio.ensure_future(writer.append(draft(f"e-{number}"), timeout_s=5))
        for number in range(200)
    ]
    await asyncio.sleep(0)
    await writer.close()
    assert await asyncio.gather(*waiting) == [None] * 200
    row = await connection.fetchrow("SELECT last_seq, closed_at FROM ledger_writer")
    assert row["last_seq"] == 200
    assert row["closed_at"] is not None
    with pytest.raises(LedgerUnavailable):
        await writer.append(draft("late"), timeout_s=5)
    assert list(writer_settings.spool_dir.iterdir()) == []


@pytest.mark.asyncio
async def test_wrong_kek_is_refused_at_start(
    writer: LedgerWriter, writer_settings: WriterSettings
) -> None:
    """A writer with another KEK than the log's does not start, and says which is which."""
    await writer.append(draft("e-1"), timeout_s=5)
    with pytest.raises(WrongKek, match="was wrapped by the key-encryption key"):
        await LedgerWriter.start(writer_settings, Keyring(FileKek(bytes(32))))


@pytest.mark.asyncio
@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_server_that_may_lose_commits_is_refused(
    writer_settings: WriterSettings, ledger_postgres: Postgres, setting: str
) -> None:
    """With `fsync`, `full_page_writes` or `synchronous_commit` off a writer does not start."""
    ledger_postgres.restart(**{setting: "off"})
    try:
        with pytest.raises(NotDurable, match=setting):
            await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK)))
    finally:
        ledger_postgres.restart()


@pytest.mark.asyncio
async def test_server_that_is_told_to_forget(connection: Any) -> None:
    """What a session was checked for is its own, whatever the server is told afterwards."""
    await check_durability(connection)
    said = await connection.fetchrow(
        "SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit'"
    )
    assert tuple(said) == ("on", "session")


@pytest.mark.asyncio
async def test_nothing_readable_on_disk(
    writer_settings: WriterSettings, ledger_postgres: Postgres, connection: Any
) -> None:
    """What is planted in the blocks appears in no file of PostgreSQL and in no spool."""
    planted = [b"li@example.com", b"+8613800138000", b"Renmin Road 1", b"4111111111111111"]
    content = b'{"x":"' + b"|".join(planted) + b'"}'
    writer = await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK)))
    for number in range(20):
        event = draft(f"seen-{number}", core=content, subject=content, staff=content)
        await writer.append(event, timeout_s=5)
    await connection.execute("CHECKPOINT")
    ledger_postgres.stop()
    try:
        for number in range(20):
            event = draft(f"spooled-{number}", core=content, subject=content, staff=content)
            await writer.append(event, timeout_s=5)
        assert writer.status().spooled_entries >= 20
        for directory, known in (
            (ledger_postgres.data, b"seen-1"),
            (writer_settings.spool_dir, b"spooled-1"),
        ):
            data = b"".join(_contents(directory))
            assert known in data  # the search does find what is there in clear
            for secret in [*planted, KEK]:
                assert secret not in data
    finally:
        ledger_postgres.start()
        await writer.close()


def _contents(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
