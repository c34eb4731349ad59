"""What does the signer leave in the database? Checkpoints, signed manifests, and why it refuses.

Invariant: nothing here is read back to be believed: what the signer knows is in its own files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.ledger.note import manifest_text, parse_checkpoint, parse_note
from service.signer.errors import SignerRefuses
from service.signer.state import State

_LAST_NOTE = "SELECT note FROM ledger_checkpoint ORDER BY id DESC LIMIT 1"
_PUBLISH = """
INSERT INTO ledger_checkpoint (origin, size, root, note, signed_at)
VALUES ($1, $2, $3, $4, to_timestamp($5::bigint))
"""
_WAITING = "SELECT export_id, sha256 FROM ledger_manifest WHERE note IS NULL ORDER BY asked_at"
_SIGNED = """
UPDATE ledger_manifest SET note = $2, signed_at = now() WHERE export_id = $1 AND note IS NULL
"""
# Of checkpoints older than a day the last of each hour stays, and what a witness has signed: a
# proof can be made for any size, so nothing is lost with the others.
_THIN = """
DELETE FROM ledger_checkpoint old
WHERE signed_at < now() - interval '1 day'
AND EXISTS (
    SELECT 1 FROM ledger_checkpoint later
    WHERE later.id > old.id AND later.origin = old.origin
    AND date_trunc('hour', later.signed_at) = date_trunc('hour', old.signed_at)
)
AND NOT EXISTS (SELECT 1 FROM ledger_cosignature WHERE checkpoint_id = old.id)
"""
_REPORT = """
INSERT INTO ledger_signer (code, problem) VALUES ($1, $2)
ON CONFLICT (is_it) DO UPDATE SET code = excluded.code, problem = excluded.problem, since = now()
WHERE ledger_signer.problem <> excluded.problem
"""
_ALL_IS_WELL = "DELETE FROM ledger_signer"


async def publish(connection: Any, state: State) -> None:
    """Make the last checkpoint of the state the last one of the database."""
    if state.checkpoint is None or await connection.fetchval(_LAST_NOTE) == state.checkpoint:
        return
    signed = parse_checkpoint(parse_note(state.checkpoint).text)
    await connection.execute(
        _PUBLISH, signed.origin, signed.size, signed.root, state.checkpoint, state.signed_at
    )


async def sign_manifests(connection: Any, signed_note: Callable[[str], str]) -> None:
    """Sign the manifests of exports that wait."""
    for row in await connection.fetch(_WAITING):
        note = signed_note(manifest_text(row["export_id"], row["sha256"]))
        await connection.execute(_SIGNED, row["export_id"], note)


async def thin(connection: Any) -> None:
    """Delete checkpoints that nobody needs any more."""
    await connection.execute(_THIN)


async def report(connection: Any, error: SignerRefuses | None) -> None:
    """Say in the database why nothing is signed, or that all is well."""
    if error is None:
        await connection.execute(_ALL_IS_WELL)
    else:
        await connection.execute(_REPORT, error.code, str(error))
