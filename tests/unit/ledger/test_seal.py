"""A sealed block opens in its own place, under its own key, unchanged, and nowhere else."""

from __future__ import annotations

import pytest

from service.ledger.errors import SealBroken
from service.ledger.seal import (
    COMMITMENT_BYTES,
    block_secret,
    is_committed,
    open_disclosed,
    open_sealed,
    seal,
)

KEY, ENTRY = bytes(32), b"\x01" * 16


def test_opens_in_its_place() -> None:
    """What was sealed comes back; two seals of the same bytes differ."""
    first, second = (seal(KEY, "log", ENTRY, "core", b"secret") for _ in range(2))
    assert first != second
    assert open_sealed(KEY, "log", ENTRY, "core", first) == b"secret"
    assert b"secret" not in first


@pytest.mark.parametrize(
    ("key", "log", "entry_id", "block"),
    [
        (b"\x01" + bytes(31), "log", ENTRY, "core"),
        (KEY, "other", ENTRY, "core"),
        (KEY, "log", b"\x02" * 16, "core"),
        (KEY, "log", ENTRY, "subject"),
    ],
)
def test_moved_block_does_not_open(key: bytes, log: str, entry_id: bytes, block: str) -> None:
    """Another key, log, entry or block: it does not open."""
    sealed = seal(KEY, "log", ENTRY, "core", b"secret")
    with pytest.raises(SealBroken):
        open_sealed(key, log, entry_id, block, sealed)


def test_place_is_bound_even_under_the_same_secret() -> None:
    """The additional data alone keeps a block in its place: the secret is not what does it."""
    sealed, secret = seal(KEY, "log", ENTRY, "core", b"secret"), block_secret(KEY, ENTRY, "core")
    assert open_disclosed(secret, "log", ENTRY, "core", sealed) == b"secret"
    for place in (("other", ENTRY, "core"), ("log", b"\x02" * 16, "core"), ("log", ENTRY, "staff")):
        with pytest.raises(SealBroken):
            open_disclosed(secret, *place, sealed)


def test_block_commits_to_its_secret() -> None:
    """No other secret is the block's, not even one under which its bytes would decrypt."""
    sealed, secret = seal(KEY, "log", ENTRY, "core", b"secret"), block_secret(KEY, ENTRY, "core")
    assert is_committed(secret, sealed)
    assert not is_committed(b"\x01" + secret[1:], sealed)
    # The rest alone is a block of the early form, whose secret is the subkey.
    assert not is_committed(secret, sealed[COMMITMENT_BYTES:])


def test_every_flipped_byte_is_seen() -> None:
    """A change of any byte, nonce and tag included, or a cut, breaks the seal."""
    sealed = seal(KEY, "log", ENTRY, "core", b"secret")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            open_sealed(KEY, "log", ENTRY, "core", bytes(changed))
        with pytest.raises(SealBroken):
            open_sealed(KEY, "log", ENTRY, "core", sealed[:place])
