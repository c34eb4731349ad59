"""What is not signed: a database that contradicts the signer, a signer without its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.ledger.note import (
    parse_checkpoint,
    parse_note,
)
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.writer import LedgerWriter
from service.signer.errors import (
    LeafWrong,
    LogForked,
    LogRolledBack,
    OtherSigner,
    SignerBroken,
    SignerRefuses,
)
from service.signer.signer import Signer
from service.signer.state import SignerFiles
from tests.integration.ledger_cases import append_many
from tests.integration.signer_cases import notes_of
from tests.keeping import checkpointed, sequenced

pytest_plugins = ["tests.integration.ledger_fixtures"]
LOG = "test"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the signer lives."""
    return tmp_path / "signer"


CONTRADICTIONS: dict[str, tuple[str, type[SignerRefuses]]] = {
    "an entry that was placed is gone": (
        "DELETE FROM ledger_entry WHERE entry_id = (SELECT entry_id FROM ledger_leaf WHERE idx=6)",
        LeafWrong,
    ),
    "a header was changed after it was placed": (
        "UPDATE ledger_entry e SET header = header || ' ' FROM ledger_leaf l "  # noqa: ISC004
        "WHERE l.entry_id = e.entry_id AND idx = 6",
        LeafWrong,
    ),
    "a leaf is not its header's hash": (
        "UPDATE ledger_leaf SET hash = sha256('x') WHERE idx = 6", LeafWrong,
    ),
    "a leaf is missing": ("DELETE FROM ledger_leaf WHERE idx = 5", LeafWrong),
    "the tree is smaller than what was signed": (
        "UPDATE ledger_tree SET size = 2, peaks = substring(peaks for 32)", LogRolledBack,
    ),
    "the tree is gone": ("DELETE FROM ledger_tree", LogRolledBack),
    "the peaks are others": (
        "UPDATE ledger_tree SET peaks = sha256('x') || substring(peaks from 33)", LogForked,
    ),
    "the log has another name": ("UPDATE ledger_tree SET origin = 'test/2'", LogForked),
    "somebody else's key is the log's": (
        "UPDATE ledger_signer_key SET vkey = 'other+00000000+AQ=='", OtherSigner,
    ),
    "a checkpoint was published that this signer does not know": (
        "INSERT INTO ledger_signer_key VALUES (2, 'other+00000000+AQ==', NULL)", OtherSigner,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CONTRADICTIONS)
async def test_what_contradicts_is_not_signed(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path, what: str
) -> None:
    """The signer refuses, says so in the database, and signs again when it was repaired."""
    statement, error = CONTRADICTIONS[what]
    await append_many(writer, 4)
    before = await checkpointed(ledger_dsn, directory, LOG)
    await append_many(writer, 3)
    await sequenced(ledger_dsn, LOG)
    async with await Signer.open(directory, ledger_dsn, LOG) as signer:
        copies = await _copied(connection)
        await connection.execute(statement)
        with pytest.raises(error):
            await signer.sign()
        assert await notes_of(connection) == [before]
        assert await connection.fetchval("SELECT code FROM ledger_signer") == error.code
        await _put_back(connection, copies)
        checkpoint = await signer.sign()
    assert checkpoint is not None
    assert checkpoint.size == 7
    assert await connection.fetchval("SELECT count(*) FROM ledger_signer") == 0


async def test_a_signed_entry_that_was_changed_shows_with_the_next_checkpoint_of_a_new_tree(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """A tree that was hashed anew over a changed entry is consistent in itself, and refused."""
    await append_many(writer, 4)
    await checkpointed(ledger_dsn, directory, LOG)
    await append_many(writer, 2)
    await sequenced(ledger_dsn, LOG)
    rows = await connection.fetch(
        "SELECT idx, header FROM ledger_leaf JOIN ledger_entry USING (entry_id) ORDER BY idx"
    )
    forged, peaks = rows[1]["header"].replace(b'"seq":2', b'"seq":9'), Peaks()
    peaks.extend(leaf_hash(forged if row["idx"] == 1 else row["header"]) for row in rows)
    await connection.execute(
        "UPDATE ledger_entry SET header = $1 WHERE header = $2", forged, rows[1]["header"]
    )
    await connection.execute("UPDATE ledger_leaf SET hash = $1 WHERE idx = 1", leaf_hash(forged))
    await connection.execute("UPDATE ledger_tree SET peaks = $1", peaks.to_bytes())
    async with await Signer.open(directory, ledger_dsn, LOG) as signer:
        with pytest.raises(LogForked, match="the first 4 entries"):
            await signer.sign()


async def test_a_signer_without_its_memory_does_not_begin_anew(
    ledger_dsn: str, writer: LedgerWriter, directory: Path, tmp_path: Path
) -> None:
    """With the directory gone, or another one, nothing is signed under a fresh key."""
    await append_many(writer, 1)
    await checkpointed(ledger_dsn, directory, LOG)
    with pytest.raises(OtherSigner, match="put back the copy"):
        await Signer.open(tmp_path / "another", ledger_dsn, LOG)
    assert list((tmp_path / "another").glob("*.key")) == []


async def test_an_old_copy_of_the_memory_is_carried_on_only_along_what_was_signed(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """Put back, it goes on from the published checkpoints; on another tree it refuses."""
    await append_many(writer, 2)
    await checkpointed(ledger_dsn, directory, LOG)
    old = (directory / "state.json").read_bytes()
    await append_many(writer, 3)
    await checkpointed(ledger_dsn, directory, LOG)
    (directory / "state.json").write_bytes(old)
    await append_many(writer, 1)
    note = parse_note(await checkpointed(ledger_dsn, directory, LOG))
    assert parse_checkpoint(note.text).size == 6
    # Whoever follows the checkpoints never sees an older one again.
    rows = await connection.fetch("SELECT size FROM ledger_checkpoint ORDER BY id")
    assert [row["size"] for row in rows] == [2, 5, 6]
    (directory / "state.json").write_bytes(old)
    async with await Signer.open(directory, ledger_dsn, LOG) as signer:
        peaks = Peaks()
        leaves = await connection.fetch("SELECT hash FROM ledger_leaf ORDER BY idx LIMIT 5")
        peaks.extend(row["hash"] for row in leaves)
        await connection.execute("UPDATE ledger_tree SET size = 5, peaks = $1", peaks.to_bytes())
        await connection.execute("DELETE FROM ledger_leaf WHERE idx = 5")
        with pytest.raises(LogForked, match="6 were signed, 5 are here"):
            await signer.sign()


@pytest.mark.parametrize("damage", [b"", b"{}", b"flip", b"high bit"])
async def test_a_damaged_memory_is_no_memory(
    ledger_dsn: str, writer: LedgerWriter, directory: Path, damage: bytes
) -> None:
    """Empty, another file, or one bit of it flipped: the signer says so and does nothing."""
    await append_many(writer, 3)
    await checkpointed(ledger_dsn, directory, LOG)
    path = directory / "state.json"
    content = path.read_bytes()
    first = SignerFiles(directory).load()
    assert first is not None
    peak = first.peaks[0].hex()
    flipped = content.replace(peak.encode(), b"%064x" % (int(peak, 16) ^ 1))
    high_bit = bytes([content[0] | 0x80]) + content[1:]
    path.write_bytes({b"flip": flipped, b"high bit": high_bit}.get(damage, damage))
    with pytest.raises(SignerBroken, match="is damaged"):
        await Signer.open(directory, ledger_dsn, LOG)


_KEPT = ("ledger_entry", "ledger_leaf", "ledger_tree", "ledger_signer_key")


async def _copied(connection: Any) -> dict[str, list[Any]]:
    return {table: await connection.fetch(f"TABLE {table}") for table in _KEPT}


async def _put_back(connection: asyncpg.Connection, copies: dict[str, list[Any]]) -> None:
    for table, rows in copies.items():
        await connection.execute(f"TRUNCATE {table}")
        await connection.copy_records_to_table(table, records=[tuple(row) for row in rows])
