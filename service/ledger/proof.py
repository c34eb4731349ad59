"""How does one entry prove, without its log, that it was recorded?

A proof is its header, its place, the way from there to the root, and a signed checkpoint: small
JSON that whoever has the signer's public key verifies offline. Invariant: what is returned was
verified against the signature; nothing else of the file is believed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from service.ledger.entry import Header, parse_header
from service.ledger.errors import BadHeader, LedgerError
from service.ledger.note import NoteInvalid, VerifierKey, parse_checkpoint, parse_note, verify_note
from service.ledger.tree.errors import ProofInvalid
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.stored import StoredTree
from service.ledger.tree.verifying import verify_inclusion

FORMAT = "touchstone proof 1"

_PLACE = """
SELECT l.idx, e.header FROM ledger_entry e LEFT JOIN ledger_leaf l ON l.entry_id = e.entry_id
WHERE e.entry_id = $1
"""
_CHECKPOINT = """
SELECT c.size, c.note, coalesce(string_agg(o.line, '' ORDER BY o.witness), '') AS cosignatures
FROM ledger_checkpoint c LEFT JOIN ledger_cosignature o ON o.checkpoint_id = c.id
WHERE c.size > $1 AND c.origin = (SELECT origin FROM ledger_tree)
GROUP BY c.id ORDER BY c.id DESC LIMIT 1
"""


class NotCovered(LedgerError):
    """The entry is recorded, and no signed checkpoint covers it yet: a matter of seconds."""

    code = "entry_not_covered"


class UntrustedKey(LedgerError):
    """No key that was given has signed the checkpoint of the proof."""

    code = "untrusted_key"


class Proven(NamedTuple):
    """What a verified proof says."""

    header: Header
    idx: int
    origin: str
    size: int
    signed_at: int | None


async def prove(connection: Any, entry_id: bytes) -> dict[str, Any] | None:
    """Return the proof of an entry, `None` when there is no such entry.

    Raises `NotCovered`, `TreeBroken` and what asyncpg raises.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await connection.fetchrow(_PLACE, entry_id)
        if found is None:
            return None
        signed = None
        if found["idx"] is not None:
            signed = await connection.fetchrow(_CHECKPOINT, found["idx"])
        if signed is None:
            raise NotCovered("no signed checkpoint covers this entry yet: try again in 10 seconds")
        path = await StoredTree(connection).inclusion(found["idx"], signed["size"])
    return {
        "format": FORMAT,
        "header": found["header"].decode("ascii"),
        "index": found["idx"],
        "path": [base64.b64encode(node).decode() for node in path],
        "checkpoint": signed["note"] + signed["cosignatures"],
    }


def verify_proof(text: str, keys: Sequence[VerifierKey]) -> Proven:
    """Return what a proof shows.

    Raises `ProofInvalid` when it shows nothing, `UntrustedKey` when another key has signed it.
    """
    try:
        proof = json.loads(text)
        if proof["format"] != FORMAT:
            raise ProofInvalid("it is no proof of an entry")
        header = proof["header"].encode("ascii")
        path = [base64.b64decode(node, validate=True) for node in proof["path"]]
        note = parse_note(proof["checkpoint"])
        checkpoint = parse_checkpoint(note.text)
        signers = {(line.name, line.key_id) for line in note.lines}
        mine = [key for key in keys if (key.name, key.key_id) in signers]
        if not mine:
            raise UntrustedKey("none of the given keys has signed the checkpoint")
        times = [verify_note(note, key) for key in mine]
        index = proof["index"]
        verify_inclusion(leaf_hash(header), index, checkpoint.size, path, checkpoint.root)
        said = parse_header(header)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProofInvalid(f"it is no proof of an entry ({type(error).__name__})") from None
    except (NoteInvalid, BadHeader) as error:
        raise ProofInvalid(str(error)) from None
    signed_at = max((time for time in times if time is not None), default=None)
    return Proven(said, index, checkpoint.origin, checkpoint.size, signed_at)
