"""How a log goes on after a loss: under another origin, with a key that follows, or a fresh one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from service.guards import check_record
from service.ledger.note import (
    parse_checkpoint,
    parse_next_key,
    parse_note,
    parse_vkey,
    verify_note,
)
from service.ledger.tree.peaks import Peaks
from service.ledger.writer import LedgerWriter
from service.settings import Settings
from service.signer.continuing import continue_log
from service.signer.errors import LogForked, LogRolledBack, SignerRefuses
from service.signer.signer import Signer
from service.signer.state import SignerFiles
from tests.integration.ledger_cases import append_many
from tests.integration.ledger_fixtures import TABLES
from tests.integration.signer_cases import keys_of, notes_of
from tests.keeping import checkpointed, sequenced

pytest_plugins = ["tests.integration.ledger_fixtures"]
LOG = "test"
# What a restored backup has: the tree without its last three leaves.
_ROLL_BACK = """
DELETE FROM ledger_entry WHERE entry_id IN (SELECT entry_id FROM ledger_leaf WHERE idx >= 4);
DELETE FROM ledger_leaf WHERE idx >= 4;
DELETE FROM ledger_checkpoint WHERE size > 4
"""


@pytest.fixture
def files(tmp_path: Path) -> SignerFiles:
    """Where the signer lives."""
    return SignerFiles(tmp_path / "signer")


async def rolled_back(dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles) -> None:
    """Sign four entries and three more, and take the database back to the four."""
    await append_many(writer, 4)
    await checkpointed(dsn, files.directory, LOG)
    await append_many(writer, 3)
    await checkpointed(dsn, files.directory, LOG)
    await roll_back(connection)


async def roll_back(connection: Any) -> None:
    """Leave the database with its first four leaves."""
    peaks = Peaks()
    rows = await connection.fetch("SELECT hash FROM ledger_leaf WHERE idx < 4 ORDER BY idx")
    peaks.extend(row["hash"] for row in rows)
    await connection.execute(_ROLL_BACK)
    await connection.execute("UPDATE ledger_tree SET size = 4, peaks = $1", peaks.to_bytes())


async def continued(connection: Any, files: SignerFiles) -> Any:
    """Accept the loss."""
    async with connection.transaction():
        return await continue_log(connection, files, LOG)


async def test_a_loss_is_accepted_once_and_named(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles, tmp_path: Path
) -> None:
    """What was signed and what is here; then entries are signed again, and all agrees."""
    await rolled_back(ledger_dsn, writer, connection, files)
    settings = Settings(var=tmp_path, ledger={"log_name": LOG, "signer_dir": files.directory})
    with pytest.raises(LogRolledBack, match=r"7 entries were signed .* over 4 entries"):
        await check_record(settings, connection)
    before = files.load()
    done = await continued(connection, files)
    assert (done.before, done.origin, done.signed, done.here, done.wrong) == (
        LOG,
        "test/2",
        7,
        4,
        0,
    )
    assert before is not None
    assert done.lost == before.checkpoint
    await check_record(settings, connection)
    with pytest.raises(LogForked, match="no loss to accept"):
        await continued(connection, files)
    await append_many(writer, 2)
    note = parse_note(await checkpointed(ledger_dsn, files.directory, LOG))
    assert parse_checkpoint(note.text)[:2] == ("test/2", 6)
    first, second = await keys_of(connection)
    statement = parse_note(
        await connection.fetchval("SELECT statement FROM ledger_signer_key WHERE position = 2")
    )
    verify_note(statement, first)
    assert parse_next_key(statement.text) == (LOG, second)
    verify_note(note, second)


async def test_cut_short_it_is_finished_by_the_next_try(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """The files are written and the transaction is not committed: the same origin, the same key."""
    await rolled_back(ledger_dsn, writer, connection, files)
    transaction = connection.transaction()
    await transaction.start()
    first = await continue_log(connection, files, LOG)
    await transaction.rollback()
    second = await continued(connection, files)
    assert second == first
    async with await Signer.open(files.directory, ledger_dsn, LOG) as signer:
        assert await signer.sign() is None
    assert parse_checkpoint(parse_note((await notes_of(connection))[-1]).text).origin == "test/2"


async def test_a_second_loss_has_the_next_number(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """test, test/2, test/3: no name is ever used twice."""
    await rolled_back(ledger_dsn, writer, connection, files)
    await continued(connection, files)
    await append_many(writer, 3)
    await checkpointed(ledger_dsn, files.directory, LOG)
    await roll_back(connection)
    assert (await continued(connection, files)).origin == "test/3"


async def test_an_empty_database_is_gone_on_with(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """With everything lost the log begins anew under the next name, and the old keys are known."""
    await append_many(writer, 3)
    await checkpointed(ledger_dsn, files.directory, LOG)
    await connection.execute(f"TRUNCATE {TABLES}")
    done = await continued(connection, files)
    assert (done.before, done.origin, done.signed, done.here) == (LOG, "test/2", 3, 0)
    await append_many(writer, 1)
    assert "test/2\n1\n" in await checkpointed(ledger_dsn, files.directory, LOG)
    assert len(await keys_of(connection)) == 2


async def test_with_the_signer_lost_a_fresh_key_is_no_ones_successor(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """Nothing can hand over: whoever checks must be given the fresh key by hand."""
    await append_many(writer, 4)
    await checkpointed(ledger_dsn, files.directory, LOG)
    shutil.rmtree(files.directory)
    done = await continued(connection, files)
    assert (done.origin, done.lost, done.here) == ("test/2", None, 4)
    row = await connection.fetchrow("SELECT * FROM ledger_signer_key ORDER BY position DESC")
    assert (row["position"], row["vkey"], row["statement"]) == (2, done.vkey, None)
    await append_many(writer, 1)
    verify_note(
        parse_note(await checkpointed(ledger_dsn, files.directory, LOG)), parse_vkey(done.vkey)
    )


async def test_entries_that_were_changed_before_they_were_signed_are_counted(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """The signer refuses them for good; accepting the loss says how many there are."""
    await append_many(writer, 2)
    await checkpointed(ledger_dsn, files.directory, LOG)
    await append_many(writer, 3)
    await sequenced(ledger_dsn, LOG)
    await connection.execute(
        "DELETE FROM ledger_entry WHERE entry_id = (SELECT entry_id FROM ledger_leaf WHERE idx=3)"
    )
    async with await Signer.open(files.directory, ledger_dsn, LOG) as signer:
        with pytest.raises(SignerRefuses):
            await signer.sign()
    done = await continued(connection, files)
    assert (done.here, done.wrong) == (5, 1)
    await append_many(writer, 1)
    assert "test/2\n6\n" in await checkpointed(ledger_dsn, files.directory, LOG)
    with pytest.raises(LogForked, match="no loss to accept"):
        await continued(connection, files)
