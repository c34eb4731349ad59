"""Keys that change, and signers that take turns."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from service.ledger.note import (
    cosigner,
    parse_checkpoint,
    parse_next_key,
    parse_note,
    parse_vkey,
    verify_note,
)
from service.ledger.writer import LedgerWriter
from service.signer.rotation import rotate
from service.signer.signer import Signer
from service.signer.state import SignerFiles
from tests.integration.ledger_cases import append_many
from tests.integration.signer_cases import keys_of, notes_of
from tests.keeping import checkpointed, sequenced

pytest_plugins = ["tests.integration.ledger_fixtures"]
LOG = "test"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the signer lives."""
    return tmp_path / "signer"


async def test_a_rotated_key_is_named_by_the_one_before_and_both_sign(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """Under load no checkpoint is missing; after the overlap the old private key is gone."""
    await append_many(writer, 2)
    await checkpointed(ledger_dsn, directory, LOG)
    done = await rotate(directory, ledger_dsn, overlap_seconds=3600)
    before, after = await keys_of(connection)
    assert (str(before), str(after)) == (done.before, done.after)
    statement = parse_note(
        await connection.fetchval("SELECT statement FROM ledger_signer_key WHERE position = 2")
    )
    verify_note(statement, before)
    verify_note(statement, after)
    assert parse_next_key(statement.text) == (LOG, after)
    await append_many(writer, 1)
    note = parse_note(await checkpointed(ledger_dsn, directory, LOG))
    for key in (before, after):
        verify_note(note, key)
    files = SignerFiles(directory)
    state = files.load()
    assert state is not None
    assert state.retiring is not None
    files.save(state._replace(retiring=state.retiring._replace(until=1)))
    await append_many(writer, 1)
    note = parse_note(await checkpointed(ledger_dsn, directory, LOG))
    verify_note(note, after)
    assert before.name == after.name
    assert {line.key_id for line in note.lines} == {after.key_id, cosigner(after).key_id}
    assert [path.name for path in directory.glob("*.key")] == [f"{after.key_id.hex()}.key"]


async def test_keys_rotate_while_entries_come(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """Ten rotations beside a signer at work: the chain is whole and every entry is signed."""
    await append_many(writer, 1)
    await checkpointed(ledger_dsn, directory, LOG)
    stop = asyncio.Event()

    async def load() -> None:
        async with await Signer.open(directory, ledger_dsn, LOG) as signer:
            while not stop.is_set():
                await append_many(writer, 5)
                await sequenced(ledger_dsn, LOG)
                await signer.sign()

    loading = asyncio.create_task(load())
    for _ in range(10):
        await rotate(directory, ledger_dsn)
        await asyncio.sleep(0.05)
    stop.set()
    await loading
    rows = await connection.fetch("SELECT vkey, statement FROM ledger_signer_key ORDER BY position")
    assert len(rows) == 11
    for before, row in pairwise(rows):
        note = parse_note(row["statement"])
        verify_note(note, parse_vkey(before["vkey"]))
        assert str(parse_next_key(note.text)[1]) == row["vkey"]
    last = parse_note((await notes_of(connection))[-1])
    assert parse_checkpoint(last.text).size == await connection.fetchval(
        "SELECT count(*) FROM ledger_entry"
    )


async def test_two_signers_on_one_directory_take_turns(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, directory: Path
) -> None:
    """What two processes sign at once is one row of trees, each the beginning of the next."""
    await append_many(writer, 1)
    await checkpointed(ledger_dsn, directory, LOG)
    async with (
        await Signer.open(directory, ledger_dsn, LOG) as one,
        await Signer.open(directory, ledger_dsn, LOG) as other,
    ):
        for _ in range(5):
            await append_many(writer, 2)
            await sequenced(ledger_dsn, LOG)
            signed = await asyncio.gather(one.sign(), other.sign())
            assert sum(checkpoint is not None for checkpoint in signed) == 1
    sizes = [parse_checkpoint(parse_note(note).text).size for note in await notes_of(connection)]
    assert sizes == [1, 3, 5, 7, 9, 11]
