"""Nothing brings an erased person back: no spool, no restored backup, no rebuilding of counters."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from service.audit.blind_index import BlindIndex, month_of
from service.embedded import EmbeddedServers
from service.history.reader import LedgerHistory
from service.ledger.drain import drain_leftovers
from service.ledger.entry import EntryDraft
from service.ledger.frames import Group, encoded, month_key_rows, subject_key_rows
from service.ledger.keys import FileKek, Keyring
from service.ledger.row import numbered, sealed
from service.ledger.spool import Spool
from service.rights.erasing import destroy, keys_of
from service.rights.errors import ErasureIncomplete
from service.rights.journal import FILE_NAME, Digests, Erased, JournalFile, Record, add_records
from service.rights.parts import Opening
from service.rights.replay import replay_file, replay_journal
from service.rights.requests import ask, begin_erasure, rights_request
from service.secrets_files import read_keys
from tests.integration.history_cases import (
    EVERYTHING,
    KEK,
    LOG,
    START,
    entry,
    store,
)
from tests.people import give_roles
from tests.rights import desks_of, rows
from tests.running import Here, service_here, settings_on

TAG_KEY = bytes(range(32))
GONE = "g" * 22  # as long as a tag
OPENS = Opening(Keyring(FileKek(KEK)), LOG, BlindIndex(TAG_KEY))
_KEYS = "SELECT subject_tag FROM subject_key ORDER BY subject_tag"


@pytest.fixture
async def connection(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to an empty database."""
    opened = await asyncpg.connect(fresh_postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def here(
    servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> AsyncIterator[Here]:
    """A service on a database of its own."""
    settings = settings_on(servers, tmp_path, patient_ms=10_000)
    postgres = settings.postgres.model_copy(update={"url": fresh_postgres_url})
    async with service_here(settings.model_copy(update={"postgres": postgres})) as running:
        yield running


async def test_a_spool_from_before_an_erasure_brings_nobody_back(
    here: Here, tmp_path: Path
) -> None:
    """Its keys are set aside; the erased person's entries lose what they said, others stay."""
    settings, tagger = here.settings, here.runtime.brain.tagger
    ring = Keyring(FileKek(read_keys(settings).kek))
    tags = {name: tagger.tag("user", name) for name in ("u-erased", "u-other")}
    drafts = {name: _draft(f"user:{tag}", tag) for name, tag in tags.items()}
    directory = tmp_path / "other-spool"
    _spooled(directory, ring, settings.ledger.log_name, list(drafts.values()))
    async with desks_of(here) as desks:
        await desks.erase({"user": "u-erased"})
    database = await asyncpg.connect(settings.postgres.url)
    try:
        async with database.transaction():
            drained = await drain_leftovers(database, ring, directory)
            assert drained.stored == 2
            assert [row["subject_tag"] for row in await database.fetch(_KEYS)] == []
    finally:
        await database.close()
    for _ in range(40):
        if not await rows(settings, "SELECT FROM late_subject_key"):
            break
        await asyncio.sleep(0.1)
    found = await rows(settings, _KEYS)
    assert [row["subject_tag"] for row in found] == [f"user:{tags['u-other']}"]
    erased = await here.client.get(f"/v1/decisions/{drafts['u-erased'].entry_id.hex()}")
    assert erased.json["code"] == "decision_erased"
    assert (
        await here.client.get(f"/v1/decisions/{drafts['u-other'].entry_id.hex()}")
    ).status == 200
    [left] = await rows(
        settings,
        "SELECT subject, event_key, body_hash FROM ledger_entry WHERE entry_id = $1",
        drafts["u-erased"].entry_id,
    )
    assert tuple(left) == (None, None, None)


async def test_entries_spooled_under_a_destroyed_key_are_stored_without_what_they_said(
    connection: Any, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A writer that was away knows a key which was destroyed meanwhile: the header stays alone."""
    ring = Keyring(FileKek(KEK))
    first, second = _draft("user:gone", "gone"), _draft("user:gone", "gone")
    _spooled(tmp_path, ring, LOG, [first])
    await drain_leftovers(connection, ring, tmp_path)
    ring.subject_key("user:gone").stored = True
    await destroy(connection, await keys_of(connection, ["user:gone"], datetime.now(UTC)))
    _spooled(tmp_path, ring, LOG, [second])
    assert (await drain_leftovers(connection, ring, tmp_path)).stored == 1
    found = await connection.fetch("SELECT header, subject, event_key FROM ledger_entry")
    assert [(row["subject"], row["event_key"]) for row in found] == [(None, None)] * 2
    assert all(b'"subject"' in row["header"] for row in found)
    assert not await connection.fetch("SELECT FROM entry_subject")
    assert not await connection.fetch(_KEYS)


async def test_no_writer_and_no_copy_stores_a_destroyed_key_again(connection: Any) -> None:
    """The table itself refuses a key that was destroyed."""
    key_id = os.urandom(16)
    insert = "INSERT INTO subject_key (key_id, subject_tag, wrapped) VALUES ($1, 'user:a', '')"
    await connection.execute(insert, key_id)
    await destroy(connection, [key_id])
    await connection.execute(insert, key_id)
    assert not await connection.fetch(_KEYS)


async def test_erasures_are_done_again_on_a_restored_database(
    connection: Any, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """The journal's file names whom to erase; entries after the erasure and all others stay."""
    until = START + timedelta(hours=1)
    old = entry(START, tags={"user": GONE})
    late = entry(until + timedelta(hours=1), tags={"user": "back"})
    drafts = [old, late, entry(START, tags={"user": "stays"})]
    for draft in drafts:
        await store(fresh_postgres_url, [draft])
    await _list(connection, GONE)
    digests = Digests(TAG_KEY)
    file = JournalFile(tmp_path / "erasures.journal")
    file.add([Record(digests.of(f"user:{name}"), until) for name in (GONE, "back")])
    for _ in range(2):  # done again it does nothing
        replayed = await replay_journal(connection, digests, file.read(), OPENS)
    assert replayed.tags == 0
    found = await connection.fetch("SELECT entry_id, subject FROM ledger_entry")
    assert {row["entry_id"] for row in found if row["subject"] is None} == {old.entry_id}
    assert [row["subject_tag"] for row in await connection.fetch(_KEYS)] == [
        "user:back", "user:stays",
    ]  # fmt: skip
    assert not await connection.fetch("SELECT FROM list_entry")


async def test_a_replay_takes_the_person_out_of_what_finds_others(
    connection: Any, fresh_postgres_url: str
) -> None:
    """Others' entries cannot be found by a device that was the erased person's; later ones can."""
    until = START + timedelta(hours=1)
    tags = {"user": GONE, "device": "d"}
    own = entry(START, tags=tags)
    before, after = (
        entry(until + timedelta(minutes=minutes), tags={"user": "other", "device": "d"})
        for minutes in (-1, 1)
    )
    await store(fresh_postgres_url, [own, before, after])
    for draft in (own, before, after):
        await connection.execute(
            "UPDATE entry_subject SET terms = $2 WHERE entry_id = $1",
            draft.entry_id,
            list(OPENS.terms.terms({"user": "other", "device": "d"}, month_of(START))),
        )
    digests = Digests(TAG_KEY)
    records = [Record(digests.of(f"{kind}:{tag}"), until) for kind, tag in tags.items()]
    assert (await replay_journal(connection, digests, records, OPENS)).tags == 1
    found = await connection.fetch("SELECT entry_id, cardinality(terms) FROM entry_subject")
    assert {row[0]: row[1] for row in found} == {before.entry_id: 1, after.entry_id: 2}


async def test_a_start_repeats_erasures_that_only_the_file_knows(
    connection: Any, fresh_postgres_url: str, servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Whichever way the database went back to before them; where it knows them nothing is done."""
    settings = settings_on(servers, tmp_path)
    keys = read_keys(settings)
    draft = entry(START, tags={"user": GONE})
    await store(fresh_postgres_url, [draft], kek=keys.kek)
    assert await replay_file(connection, settings) is None
    digest = Digests(keys.tag).of(f"user:{GONE}")
    JournalFile(settings.var / FILE_NAME).add([Record(digest, START + timedelta(hours=1))])
    replayed = await replay_file(connection, settings)
    assert replayed is not None
    assert replayed.counts.entries == 1
    assert not await connection.fetch(_KEYS)
    assert await replay_file(connection, settings) is None


async def test_history_leaves_out_erased_entities_of_others_and_restricted_persons(
    connection: Any, fresh_postgres_url: str
) -> None:
    """A device that was erased is not counted again from what its other users did."""
    at = START + timedelta(minutes=1)
    drafts = [
        entry(START + timedelta(hours=hour), tags={"user": "a", "device": "d"}) for hour in (0, 2)
    ]
    await store(fresh_postgres_url, drafts)
    digests = Digests(TAG_KEY)
    await add_records(connection, [Record(digests.of("device:d"), at)])
    history = LedgerHistory(connection, Keyring(FileKek(KEK)), LOG, digests=digests)
    events = [event async for page in history.pages(EVERYTHING) for event in page.events]
    assert [dict(event.tags) for event in events] == [{"user": "a"}, {"user": "a", "device": "d"}]


async def test_the_journal_has_an_erasure_before_it_is_committed(
    connection: Any, tmp_path: Path
) -> None:
    """The file has it when the transaction is still open; where it cannot be written, nothing is
    erased."""
    digests, number = Digests(TAG_KEY), await _asked(connection, "user:a")
    file = JournalFile(tmp_path / "erasures.journal")
    transaction = connection.transaction()
    await transaction.start()
    await begin_erasure(connection, number, "decider", digests, file)
    await transaction.rollback()
    assert [record.digest for record in file.read()] == [digests.of("user:a")]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ErasureIncomplete):
        async with connection.transaction():
            await begin_erasure(
                connection, number, "decider", digests, JournalFile(tmp_path / "file" / "journal")
            )
    assert (await rights_request(connection, number)).state == "open"


def test_a_journal_keeps_what_a_crash_did_not_cut(tmp_path: Path) -> None:
    """A torn last line is passed over, and what is added after it is read."""
    digests = Digests(TAG_KEY)
    file = JournalFile(tmp_path / "deep" / "erasures.journal")
    first, second = (Record(digests.of(name), START) for name in ("user:a", "user:b"))
    file.add([first])
    path = tmp_path / "deep" / "erasures.journal"
    path.write_bytes(path.read_bytes() + b"00ff")
    file.add([second])
    assert file.read() == [first, second]
    assert path.stat().st_mode & 0o077 == 0
    erased = Erased(digests, file.read())
    assert (erased.until("user:a"), erased.until("user:c")) == (START, None)


def _draft(subject_tag: str, tag: str) -> EntryDraft:
    at = datetime.now(UTC) - timedelta(minutes=5)
    answer = {"event_id": None, "type": "checkout", "outcome": "approve"}
    content = {"tags": {"user": tag}, "event_id": "e-1", "writes": {}}
    return EntryDraft(
        entry_id=os.urandom(16),
        type="decision",
        event_key=os.urandom(8).hex().encode(),
        body_hash=b"body",
        observed_at=at,
        versions={},
        core=orjson.dumps({"answer": answer}),
        subject=orjson.dumps(content),
        subject_tag=subject_tag,
    )


def _spooled(directory: Path, ring: Keyring, log: str, drafts: list[EntryDraft]) -> None:
    """Write what a writer that died leaves: one group of sealed entries and their keys."""
    directory.mkdir(exist_ok=True)
    entries = [sealed(draft, log, ring) for draft in drafts]
    writer = os.urandom(16)
    months = {key for one in entries for key in one.month_keys}
    group = Group(
        month_key_rows(months),
        subject_key_rows(one.subject_key for one in entries),
        [numbered(one, writer, number) for number, one in enumerate(entries, 1)],
    )
    spool = Spool.create(directory, writer.hex(), 1 << 20)
    spool.append(encoded(group))
    spool.release()


async def _list(connection: Any, tag: str) -> None:
    await connection.execute(
        "INSERT INTO list (name, purpose, description, actor) VALUES ('bad', 'deny', '', 'a')"
    )
    await connection.execute(
        "INSERT INTO list_entry (list, kind, tag, reason, owner, added_by, added_at) "
        "VALUES ('bad', 'user', $1, 'r', 'o', 'a', $2)",
        tag,
        START,
    )


async def _asked(connection: Any, tag: str) -> int:
    for person in ("asker", "decider"):
        await give_roles(connection, person, "compliance")
    return (await ask(connection, "erase", [tag], "asker", bytes(16))).id
