"""The signer signs no second history: not over what was published, nor before it remembers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.ledger.note import (
    Checkpoint,
    checkpoint_text,
    cosigner,
    parse_checkpoint,
    parse_note,
    sign_line,
    verify_note,
)
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.writer import LedgerWriter
from service.signer.agreement import check_agreement
from service.signer.errors import LogForked, SignerBroken
from service.signer.signer import Signer
from service.signer.state import SignerFiles, State
from tests.integration.ledger_cases import append_many
from tests.integration.signer_cases import notes_of
from tests.keeping import checkpointed, sequenced

pytest_plugins = ["tests.integration.ledger_fixtures"]
LOG = "test"


@pytest.fixture
def files(tmp_path: Path) -> SignerFiles:
    """Where the signer lives."""
    return SignerFiles(tmp_path / "signer")


def state_of(files: SignerFiles) -> State:
    state = files.load()
    assert state is not None
    return state


async def forked(connection: Any, idx: int) -> None:
    """Change an entry, with its leaf and the tree made to fit: another history."""
    rows = await connection.fetch(
        "SELECT idx, entry_id, header FROM ledger_leaf JOIN ledger_entry USING (entry_id) "
        "ORDER BY idx"
    )
    changed, peaks = rows[idx]["header"] + b" ", Peaks()
    peaks.extend(leaf_hash(changed if row["idx"] == idx else row["header"]) for row in rows)
    await connection.execute(
        "UPDATE ledger_entry SET header = $1 WHERE entry_id = $2", changed, rows[idx]["entry_id"]
    )
    await connection.execute(
        "UPDATE ledger_leaf SET hash = $1 WHERE idx = $2", leaf_hash(changed), idx
    )
    await connection.execute("UPDATE ledger_tree SET peaks = $1", peaks.to_bytes())


async def test_a_checkpoint_that_is_not_remembered_does_not_leave(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """When the disk does not take the signer's memory, the database gets no checkpoint either."""
    await append_many(writer, 2)
    before = await checkpointed(ledger_dsn, files.directory, LOG)
    await append_many(writer, 1)
    await sequenced(ledger_dsn, LOG)
    async with await Signer.open(files.directory, ledger_dsn, LOG) as signer:
        in_the_way = files.directory / "state.json.new"
        in_the_way.mkdir()
        with pytest.raises(SignerBroken, match="cannot write"):
            await signer.sign()
        assert await notes_of(connection) == [before]
        assert state_of(files).checkpoint == before
        in_the_way.rmdir()
        assert await signer.sign() is not None
    assert (await notes_of(connection))[-1] == state_of(files).checkpoint


async def test_an_old_copy_of_the_memory_signs_no_other_tree_than_was_published(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """What it forgot was published under its own signature: another tree of that size is a fork,
    at that size and when it has grown."""
    await append_many(writer, 2)
    await checkpointed(ledger_dsn, files.directory, LOG)
    old = files.state_path.read_bytes()
    await append_many(writer, 3)
    published = await checkpointed(ledger_dsn, files.directory, LOG)
    files.state_path.write_bytes(old)
    await forked(connection, 3)
    async with await Signer.open(files.directory, ledger_dsn, LOG) as signer:
        for _ in range(2):
            with pytest.raises(LogForked, match="a checkpoint of 5 says otherwise"):
                await signer.sign()
            await append_many(writer, 1)
            await sequenced(ledger_dsn, LOG)
    assert (await notes_of(connection))[-1] == published
    assert files.state_path.read_bytes() == old


async def test_a_checkpoint_of_nobody_stops_no_signer(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """A row in the signer's name, with a stranger's signature or one that does not hold, is not
    its own: it neither leads the signer nor stops it."""
    await append_many(writer, 1)
    await checkpointed(ledger_dsn, files.directory, LOG)
    key = state_of(files).keys[-1].verifier
    text = checkpoint_text(Checkpoint(LOG, 3, bytes(32)))
    broken = base64.b64encode(key.key_id + bytes(64)).decode()
    for line in (
        sign_line(Ed25519PrivateKey.generate(), LOG, text),
        f"\u2014 {LOG} {broken}\n",
    ):
        size = state_of(files).size
        await append_many(writer, 2)
        await sequenced(ledger_dsn, LOG)
        await connection.execute(
            "INSERT INTO ledger_checkpoint (origin, size, root, note, signed_at) "
            "VALUES ($1, $2, $3, $4, now())",
            LOG, size + 1, bytes(32), f"{text}\n{line}",
        )  # fmt: skip
        async with await Signer.open(files.directory, ledger_dsn, LOG) as signer:
            checkpoint = await signer.sign()
        assert checkpoint is not None
        last = parse_checkpoint(parse_note((await notes_of(connection))[-1]).text)
        assert last == checkpoint
        assert last.size == size + 2


async def test_another_tree_of_the_same_size_is_not_what_was_signed(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """Whoever starts is told of a tree that was made to fit a changed entry."""
    await append_many(writer, 4)
    await checkpointed(ledger_dsn, files.directory, LOG)
    await check_agreement(connection, state_of(files))
    await forked(connection, 3)
    with pytest.raises(LogForked):
        await check_agreement(connection, state_of(files))


async def test_the_time_of_checkpoints_does_not_go_back(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, files: SignerFiles
) -> None:
    """With a clock behind the last checkpoint's the next one has the last one's time."""
    await append_many(writer, 1)
    await checkpointed(ledger_dsn, files.directory, LOG)
    state = state_of(files)
    ahead = state.signed_at + 1000
    files.save(state._replace(signed_at=ahead))
    await append_many(writer, 1)
    note = parse_note(await checkpointed(ledger_dsn, files.directory, LOG))
    key = cosigner(state.keys[-1].verifier)
    assert verify_note(note, key) == state_of(files).signed_at == ahead


async def test_a_memory_whose_checkpoint_it_did_not_sign_is_damaged(
    ledger_dsn: str, writer: LedgerWriter, files: SignerFiles
) -> None:
    """Another tree with a checkpoint that fits it, signed by nobody or a stranger: no memory."""
    await append_many(writer, 2)
    await checkpointed(ledger_dsn, files.directory, LOG)
    state = state_of(files)
    key, peaks = state.keys[-1].verifier, Peaks()
    peaks.extend([bytes(32)])
    text = checkpoint_text(Checkpoint(LOG, peaks.size, peaks.root()))
    for line in (
        sign_line(Ed25519PrivateKey.generate(), LOG, text),
        f"\u2014 {LOG} {base64.b64encode(key.key_id + bytes(64)).decode()}\n",
    ):
        files.save(
            state._replace(size=peaks.size, peaks=peaks.hashes, checkpoint=f"{text}\n{line}")
        )
        with pytest.raises(SignerBroken, match="is damaged"):
            files.load()
