"""What is signed, and what is not: the signer beside a real database and a real sequencer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.ledger.note import (
    VerifierKey,
    cosigner,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_note,
)
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.writer import LedgerWriter
from tests.integration.ledger_cases import append_many
from tests.keeping import checkpointed

pytest_plugins = ["tests.integration.ledger_fixtures"]
LOG = "test"


async def key_of(connection: Any) -> VerifierKey:
    """The public key that the signer publishes."""
    return parse_vkey(await connection.fetchval("SELECT max(vkey) FROM ledger_signer_key"))


async def test_a_checkpoint_is_over_every_header(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, tmp_path: Path
) -> None:
    """The note says size and root over the stored headers, signed plainly and with the time."""
    await append_many(writer, 5)
    text = await checkpointed(ledger_dsn, tmp_path / "signer", LOG)
    headers = await connection.fetch(
        "SELECT header FROM ledger_leaf JOIN ledger_entry USING (entry_id) ORDER BY idx"
    )
    peaks = Peaks()
    peaks.extend(leaf_hash(row["header"]) for row in headers)
    note = parse_note(text)
    assert parse_checkpoint(note.text) == (LOG, 5, peaks.root())
    key = await key_of(connection)
    assert verify_note(note, key) is None
    assert verify_note(note, cosigner(key)) is not None
