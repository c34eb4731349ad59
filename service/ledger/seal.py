"""How is a block of an entry made unreadable, and bound to its place?

A *block secret* for each block of each entry: HKDF-Expand (RFC 5869) of the block key with the
entry id and the block's name as info. From it come an AES-256-GCM subkey and a commitment; the
additional data is log, entry id and block, so a block that is moved anywhere else does not open. A
sealed block is commitment (32 bytes), nonce (12 bytes), ciphertext, tag (16 bytes).

Two things follow from the secret. Whoever is given it can open this one block and no other, so an
export discloses blocks without giving a month's or a person's key away. And the commitment allows
one secret only: AES-GCM alone would let its author prepare one ciphertext that opens to two texts
under two keys ("invisible salamanders", Dodis et al., CRYPTO 2018), the hash in the header then
says nothing. Blocks of early entries lack the commitment: there the secret is the subkey.

Bound: a subkey seals one block. Two messages meet under one subkey and nonce only if a random
128-bit entry id repeats under the same key *and* the random 96-bit nonce does: for 2^48 entries
under one key that is below 2^-33 times 2^-96. GCM's limit of 2^32 messages a key is never near.
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.ledger.errors import SealBroken

KEY_BYTES = 32
COMMITMENT_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


def seal(key: bytes, log: str, entry_id: bytes, block: str, plaintext: bytes) -> bytes:
    """Return the sealed block."""
    secret = block_secret(key, entry_id, block)
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(_subkey(secret)).encrypt(nonce, plaintext, _place(log, entry_id, block))
    return _commitment(secret) + nonce + sealed


def open_sealed(key: bytes, log: str, entry_id: bytes, block: str, sealed: bytes) -> bytes:
    """Return the plaintext; raises `SealBroken` when anything about it was changed or moved."""
    return open_disclosed(block_secret(key, entry_id, block), log, entry_id, block, sealed)


def open_disclosed(secret: bytes, log: str, entry_id: bytes, block: str, sealed: bytes) -> bytes:
    """Return the plaintext of a block whose secret is known. Raises as `open_sealed`."""
    subkey, rest = secret, sealed
    if is_committed(secret, sealed):
        subkey, rest = _subkey(secret), sealed[COMMITMENT_BYTES:]
    if len(rest) < NONCE_BYTES + TAG_BYTES:
        raise SealBroken(f"the {block} block is too short")
    try:
        return AESGCM(subkey).decrypt(
            rest[:NONCE_BYTES], rest[NONCE_BYTES:], _place(log, entry_id, block)
        )
    except InvalidTag:
        raise SealBroken(f"the {block} block does not open under its key in this place") from None


def is_committed(secret: bytes, sealed: bytes) -> bool:
    """Whether the block names this secret, so that no other can open it."""
    return hmac.compare_digest(sealed[:COMMITMENT_BYTES], _commitment(secret))


def block_secret(key: bytes, entry_id: bytes, block: str) -> bytes:
    """Return what opens this block and no other."""
    return _expand(key, b"touchstone block v1|" + entry_id + block.encode())


def _subkey(secret: bytes) -> bytes:
    return _expand(secret, b"touchstone block subkey v1")


def _commitment(secret: bytes) -> bytes:
    return _expand(secret, b"touchstone block commitment v1")


def _expand(key: bytes, info: bytes) -> bytes:
    # HKDF-Expand of 32 bytes is one HMAC; `hmac.digest` takes a third of the time of HKDFExpand.
    return hmac.digest(key, info + b"\x01", "sha256")


def _place(log: str, entry_id: bytes, block: str) -> bytes:
    # The id has a fixed length and a log's name has no "|": no two places give the same bytes.
    return log.encode() + b"|" + entry_id + b"|" + block.encode()
