"""Which outside witnesses have seen a checkpoint?

A witness signs the text of a checkpoint with a time, after it has checked that the tree only grew.
Invariant: a stored cosignature was verified against a witness that the settings name, on a
checkpoint that this log published.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from service.errors import Refused
from service.ledger.note import (
    Checkpoint,
    NoteInvalid,
    cosigner,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_line,
)

_FIND = """
SELECT id, note FROM ledger_checkpoint WHERE origin = $1 AND size = $2 AND root = $3 ORDER BY id
"""
_ADD = """
INSERT INTO ledger_cosignature (checkpoint_id, witness, line) VALUES ($1, $2, $3)
ON CONFLICT (checkpoint_id, witness) DO NOTHING
"""
_LATEST = "SELECT id, note FROM ledger_checkpoint ORDER BY id DESC LIMIT 1"
_LINES = "SELECT line FROM ledger_cosignature WHERE checkpoint_id = $1 ORDER BY witness"


class CosignatureRefused(Refused):
    """The note is none, or a signature of a known witness does not hold."""

    code = "cosignature_invalid"


class UnknownWitness(Refused):
    """No signature of the note is of a witness that the settings name."""

    code = "unknown_witness"


class UnknownCheckpoint(Refused):
    """This log has not published such a checkpoint, or does not keep it any more."""

    code = "unknown_checkpoint"


class Cosigned(NamedTuple):
    """What was taken: on which checkpoint, whose signatures."""

    checkpoint: Checkpoint
    witnesses: tuple[str, ...]


async def take_cosignatures(connection: Any, text: str, witnesses: Iterable[str]) -> Cosigned:
    """Verify and store the signatures of known witnesses on one of our checkpoints.

    `text` is the checkpoint as a signed note; lines of others are left out, and taking one twice
    changes nothing. Raises `CosignatureRefused`, `UnknownWitness`, `UnknownCheckpoint` and what
    asyncpg raises.
    """
    try:
        note = parse_note(text)
        checkpoint = parse_checkpoint(note.text)
    except NoteInvalid as error:
        raise CosignatureRefused(f"This is no signed checkpoint: {error}.") from None
    known = {(key.name, key.key_id): key for key in map(cosigner, map(parse_vkey, witnesses))}
    lines = [line for line in note.lines if (line.name, line.key_id) in known]
    if not lines:
        raise UnknownWitness
    for line in lines:
        try:
            verify_line(known[line.name, line.key_id], note.text, line)
        except NoteInvalid as error:
            raise CosignatureRefused(f"{error}.".capitalize()) from None
    for row in await connection.fetch(_FIND, *checkpoint):
        if parse_note(row["note"]).text == note.text:
            for line in lines:
                await connection.execute(_ADD, row["id"], line.name, str(line))
            return Cosigned(checkpoint, tuple(sorted({line.name for line in lines})))
    raise UnknownCheckpoint


async def latest_note(connection: Any) -> str | None:
    """Return the last checkpoint with its cosignatures, `None` before the first."""
    row = await connection.fetchrow(_LATEST)
    return None if row is None else await with_cosignatures(connection, row["id"], row["note"])


async def with_cosignatures(connection: Any, checkpoint_id: int, note: str) -> str:
    """Return the note of a checkpoint with the lines of its witnesses."""
    lines: Sequence[Any] = await connection.fetch(_LINES, checkpoint_id)
    return note + "".join(row["line"] for row in lines)
