"""What a signer has left in the database."""

from __future__ import annotations

from typing import Any

from service.ledger.note import VerifierKey, parse_vkey


async def keys_of(connection: Any) -> list[VerifierKey]:
    """The public keys that the signer publishes, the first one first."""
    rows = await connection.fetch("SELECT vkey FROM ledger_signer_key ORDER BY position")
    return [parse_vkey(row["vkey"]) for row in rows]


async def notes_of(connection: Any) -> list[str]:
    """Every published checkpoint."""
    rows = await connection.fetch("SELECT note FROM ledger_checkpoint ORDER BY id")
    return [row["note"] for row in rows]
