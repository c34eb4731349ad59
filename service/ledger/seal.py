"""How is a block of an entry made unreadable, and bound to its place?

AES-256-GCM under a subkey of its own: HKDF-Expand (RFC 5869) of the block key with the entry id and
the block's name as info. The additional data is log, entry id and block, so a block that is moved
anywhere else does not open. A sealed block is nonce (12 bytes), ciphertext, tag (16 bytes).

Bound: a subkey seals one block. Two messages meet under one subkey and nonce only if a random
128-bit entry id repeats under the same key *and* the random 96-bit nonce does: for 2^48 entries
under one key that is below 2^-33 times 2^-96. GCM's limit of 2^32 messages a key is never near.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from service.ledger.errors import SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


def seal(key: bytes, log: str, entry_id: bytes, block: str, plaintext: bytes) -> bytes:
    """Return the sealed block."""
    nonce = os.urandom(NONCE_BYTES)
    name = block.encode()
    return nonce + AESGCM(_subkey(key, entry_id, name)).encrypt(
        nonce, plaintext, _place(log, entry_id, name)
    )


def open_sealed(key: bytes, log: str, entry_id: bytes, block: str, sealed: bytes) -> bytes:
    """Return the plaintext; raises `SealBroken` when anything about it was changed or moved."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise SealBroken(f"the {block} block is too short")
    name = block.encode()
    try:
        return AESGCM(_subkey(key, entry_id, name)).decrypt(
            sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(log, entry_id, name)
        )
    except InvalidTag:
        raise SealBroken(f"the {block} block does not open under its key in this place") from None


def _subkey(key: bytes, entry_id: bytes, block: bytes) -> bytes:
    return HKDFExpand(SHA256(), KEY_BYTES, b"touchstone block v1|" + entry_id + block).derive(key)


def _place(log: str, entry_id: bytes, block: bytes) -> bytes:
    # The id has a fixed length and a log's name has no "|": no two places give the same bytes.
    return log.encode() + b"|" + entry_id + b"|" + block
