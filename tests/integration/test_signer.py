"""What is signed: the signer beside a real database and a real sequencer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.ledger.note import (
    cosigner,
    manifest_text,
    parse_checkpoint,
    parse_note,
    verify_note,
)
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.writer import LedgerWriter
from service.signer.signer import IDLE_SECONDS, Signer
from service.signer.state import SignerFiles
from tests.integration.ledger_cases import append_many
from tests.integration.signer_cases import keys_of, notes_of
from tests.keeping import checkpointed

pytest_plugins = ["tests.integration.ledger_fixtures"]
LOG = "test"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the signer lives."""
    return tmp_path / "signer"


async def test_a_checkpoint_is_over_every_header(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """The note says size and root over the stored headers, signed plainly and with the time."""
    await append_many(writer, 5)
    text = await checkpointed(ledger_dsn, directory, LOG)
    headers = await connection.fetch(
        "SELECT header FROM ledger_leaf JOIN ledger_entry USING (entry_id) ORDER BY idx"
    )
    peaks = Peaks()
    peaks.extend(leaf_hash(row["header"]) for row in headers)
    note = parse_note(text)
    assert parse_checkpoint(note.text) == (LOG, 5, peaks.root())
    (key,) = await keys_of(connection)
    assert verify_note(note, key) is None
    assert verify_note(note, cosigner(key)) is not None


async def test_a_checkpoint_comes_when_the_tree_grew_or_an_hour_has_passed(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """Without entries nothing is signed but once an hour, then the same tree with another time."""
    await append_many(writer, 2)
    first = await checkpointed(ledger_dsn, directory, LOG)
    assert await checkpointed(ledger_dsn, directory, LOG) == first
    files = SignerFiles(directory)
    state = files.load()
    assert state is not None
    files.save(state._replace(signed_at=state.signed_at - IDLE_SECONDS))
    await asyncio.sleep(1)  # two notes of one tree and one second are the same note
    second = await checkpointed(ledger_dsn, directory, LOG)
    assert second.partition("\n\n")[0] == first.partition("\n\n")[0]
    assert len(await notes_of(connection)) == 2


async def test_an_empty_log_is_not_signed(
    ledger_dsn: str, connection: Any, directory: Path
) -> None:
    """There is a key, and no checkpoint."""
    async with await Signer.open(directory, ledger_dsn, LOG) as signer:
        assert await signer.sign() is None
    assert len(await keys_of(connection)) == 1
    assert await notes_of(connection) == []


async def test_what_was_not_published_is_published_next(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """A crash between remembering and publishing loses no checkpoint and changes none."""
    await append_many(writer, 3)
    note = await checkpointed(ledger_dsn, directory, LOG)
    await connection.execute("DELETE FROM ledger_checkpoint")
    await connection.execute("DELETE FROM ledger_signer_key")
    assert await checkpointed(ledger_dsn, directory, LOG) == note
    assert len(await keys_of(connection)) == 1


async def test_manifests_are_signed(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """A manifest that waits gets a note over its export's id and hash."""
    await append_many(writer, 1)
    await connection.execute(
        "INSERT INTO ledger_manifest (export_id, sha256) "
        "VALUES ('5b0c6ff2-6d53-4a36-b8d5-3f4a7a5c1f10', sha256('m'))"
    )
    await checkpointed(ledger_dsn, directory, LOG)
    row = await connection.fetchrow("SELECT * FROM ledger_manifest")
    note = parse_note(row["note"])
    verify_note(note, (await keys_of(connection))[0])
    assert note.text == manifest_text(row["export_id"], row["sha256"])


async def test_old_checkpoints_are_thinned(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """Of those older than a day the last of each hour stays, and what a witness has signed."""
    for _ in range(4):
        await append_many(writer, 1)
        await checkpointed(ledger_dsn, directory, LOG)
    await connection.execute(
        "UPDATE ledger_checkpoint SET signed_at = '2026-11-01 12:30+00' WHERE size <= 3"
    )
    cosigned = await connection.fetchval("SELECT id FROM ledger_checkpoint WHERE size = 1")
    await connection.execute("INSERT INTO ledger_cosignature VALUES ($1, 'w', 'line')", cosigned)
    await append_many(writer, 1)
    await checkpointed(ledger_dsn, directory, LOG)
    rows = await connection.fetch("SELECT size FROM ledger_checkpoint ORDER BY id")
    assert [row["size"] for row in rows] == [1, 3, 4, 5]
