"""Keys: what a wrong key says, which key seals what."""

from __future__ import annotations

import pytest

from service.ledger.errors import SealBroken, WrongKek
from service.ledger.keys import FileKek, Keyring

KEK = FileKek(bytes(32))


def test_wrong_kek_is_named() -> None:
    """Another KEK is told from damage, and both ids are named."""
    other = FileKek(b"\x01" * 32)
    wrapped = KEK.wrap("name", bytes(32))
    with pytest.raises(WrongKek, match=f"{KEK.kek_id.hex()}.*{other.kek_id.hex()}"):
        other.unwrap("name", wrapped)


def test_wrapped_key_is_bound_to_its_name_and_bytes() -> None:
    """A wrapped key under another name, or with any byte changed, does not unwrap."""
    wrapped = KEK.wrap("name", bytes(32))
    assert KEK.unwrap("name", wrapped) == bytes(32)
    with pytest.raises(SealBroken):
        KEK.unwrap("other", wrapped)
    for place in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[place] ^= 1
        with pytest.raises((SealBroken, WrongKek)):
            KEK.unwrap("name", bytes(changed))


def test_month_keys() -> None:
    """A month and purpose has one key to seal with: the stored one when it is known."""
    ring, other = Keyring(KEK), Keyring(KEK)
    made = ring.month_key("core", "2026-11")
    assert ring.month_key("core", "2026-11") is made
    assert ring.month_key("core", "2026-12").key != made.key
    assert ring.month_key("staff", "2026-11").key != made.key
    assert not made.stored
    other.learn_month_key(made.name, made.wrapped)
    assert other.month_key("core", "2026-11").key == made.key
    assert other.month_key("core", "2026-11").stored


def test_subject_keys_are_bounded_and_forgotten() -> None:
    """A person keeps a key until it is evicted or the person is forgotten."""
    ring = Keyring(KEK, max_subjects=2)
    alice = ring.subject_key("alice")
    ring.subject_key("bob")
    assert ring.subject_key("alice") is alice
    ring.subject_key("carol")
    assert ring.subject_key("alice") is alice
    ring.forget_subject("alice")
    fresh = ring.subject_key("alice")
    assert fresh.key != alice.key
    assert ring.open_subject_key(fresh.key_id, "alice", fresh.wrapped) == fresh.key
    with pytest.raises(SealBroken):
        ring.open_subject_key(fresh.key_id, "bob", fresh.wrapped)
