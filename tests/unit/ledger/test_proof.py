"""What a proof claims is verified, each part of it: nobody is believed but a key that was given."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.ledger.note import Checkpoint, checkpoint_text, cosigner, parse_vkey, sign_line
from service.ledger.proof import FORMAT, UntrustedKey, verify_proof
from service.ledger.tree.errors import ProofInvalid
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.proofs import inclusion_path
from tests.made_packages import SIGNED, MadeLog, made_log, tree_of

IDX = 4


def proof_of(log: MadeLog, idx: int = IDX, **more: Any) -> dict[str, Any]:
    """Return the proof of an entry as the service hands it out; `more` replaces fields."""
    peaks = Peaks()
    nodes: dict[tuple[int, int], bytes] = {}
    for number, row in enumerate(log.rows):
        nodes[0, number] = leaf_hash(row.header)
        for node in peaks.extend([nodes[0, number]], 1):
            nodes[node.level, node.idx] = node.hash
    path = inclusion_path(lambda *place: nodes[place], idx, len(log.rows))
    return {
        "format": FORMAT,
        "header": log.rows[idx].header.decode(),
        "index": idx,
        "path": [base64.b64encode(node).decode() for node in path],
        "checkpoint": log.checkpoint(),
        **more,
    }


def test_a_proof_says_what_was_signed() -> None:
    """Entry, place, log, size, and the latest time that a given key has signed."""
    log = made_log(random.Random(1), 9)
    key = parse_vkey(log.vkey)
    proven = verify_proof(json.dumps(proof_of(log)), [key, cosigner(key)])
    assert proven.header.entry_id == log.rows[IDX].entry_id
    assert proven[1:] == (IDX, "shop", 9, SIGNED)
    assert verify_proof(json.dumps(proof_of(log)), [key]).signed_at is None
    text = checkpoint_text(Checkpoint("shop", 9, tree_of(log.leaves()).root()))
    later = log.checkpoint() + sign_line(log.key, "shop", text, SIGNED + 9)
    proven = verify_proof(json.dumps(proof_of(log, checkpoint=later)), [cosigner(key)])
    assert proven.signed_at == SIGNED + 9
    witness = MadeLog(origin="w.example")
    late = log.checkpoint() + sign_line(witness.key, "w.example", text, SIGNED + 7)
    keys = [cosigner(key), cosigner(parse_vkey(witness.vkey))]
    assert verify_proof(json.dumps(proof_of(log, checkpoint=late)), keys).signed_at == SIGNED + 7


def test_a_forged_tree_is_not_the_signed_one() -> None:
    """Whoever has a genuine signature, and a tree of his own with the entry that he likes, proves
    nothing: neither under the signature of another text nor beside a second that holds."""
    log, fork = made_log(random.Random(1), 9), made_log(random.Random(2), 9)
    key, thief = parse_vkey(log.vkey), Ed25519PrivateKey.generate()
    other = MadeLog("shop", "w.example", thief)
    lines = log.checkpoint().partition("\n\n")[2]
    text = fork.checkpoint().partition("\n\n")[0] + "\n"
    forged = json.dumps(proof_of(fork, checkpoint=f"{text}\n{lines}"))
    for keys in ([key], [cosigner(key)], [key, cosigner(key)]):
        with pytest.raises(ProofInvalid, match="does not hold"):
            verify_proof(forged, keys)
    both = f"{text}\n{sign_line(thief, 'w.example', text)}{lines}"
    witness = parse_vkey(other.vkey)
    assert verify_proof(json.dumps(proof_of(fork, checkpoint=both)), [witness]).size == 9
    for keys in ([witness, key], [key, witness]):
        with pytest.raises(ProofInvalid, match="does not hold"):
            verify_proof(json.dumps(proof_of(fork, checkpoint=both)), keys)


def test_only_given_keys_are_asked() -> None:
    """No key, another of the same name, or the same key under another name: untrusted."""
    log = made_log(random.Random(1), 9)
    public = log.key.public_key().public_bytes_raw()
    renamed = parse_vkey(MadeLog(origin="toast", key=log.key).vkey)
    assert renamed.public == public
    for keys in ([], [parse_vkey(MadeLog().vkey)], [renamed]):
        with pytest.raises(UntrustedKey):
            verify_proof(json.dumps(proof_of(log)), keys)


def test_what_is_no_proof_shows_nothing() -> None:
    """Another place, way, entry or format, and what is no proof at all, is said to be none."""
    log = made_log(random.Random(1), 9)
    genuine, key = proof_of(log), parse_vkey(log.vkey)
    path = genuine["path"]
    changes: tuple[dict[str, Any], ...] = (
        {"format": "touchstone proof 2"},
        *({"index": index} for index in (IDX + 1, IDX - 1, -1, 9, 1 << 70, str(IDX), None)),
        {"path": path[:-1]},
        {"path": [*path, path[0]]},
        {"path": path[::-1]},
        {"path": [f" {path[0]}", *path[1:]]},
        {"path": [path[0] + "\n", *path[1:]]},
        {"path": None},
        {"header": log.rows[IDX + 1].header.decode()},
        {"header": genuine["header"] + " "},
        {"header": "\u00e9"},
        {"header": 7},
        {"checkpoint": 7},
        {"checkpoint": log.checkpoint(8)},
    )
    for change in changes:
        with pytest.raises(ProofInvalid):
            verify_proof(json.dumps({**genuine, **change}), [key])
    with pytest.raises(ProofInvalid):
        verify_proof(json.dumps(proof_of(log, 8, index=9)), [key])
    for field in genuine:
        with pytest.raises(ProofInvalid):
            verify_proof(json.dumps({k: v for k, v in genuine.items() if k != field}), [key])
    for text in ("", "7", "null", "[]", "[" * 100_000):
        with pytest.raises(ProofInvalid):
            verify_proof(text, [key])


def test_a_leaf_that_is_no_header_proves_no_entry() -> None:
    """The tree holds whatever was in the table; only a header that is read says something."""
    log = made_log(random.Random(1), 9)
    log.rows[IDX] = log.rows[IDX]._replace(header=b'{"v":2}')
    with pytest.raises(ProofInvalid):
        verify_proof(json.dumps(proof_of(log)), [parse_vkey(log.vkey)])
