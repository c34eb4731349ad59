"""Keys: what a wrong key says, which key seals what."""

from __future__ import annotations

import pytest

from service.ledger.errors import SealBroken, WrongKek
from service.ledger.keys import FileKek, Keyring, kek_id_of

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


class TwoKeks:
    """Both KEKs of a rotation, as `HeldKeks` has them."""

    def __init__(self, first: FileKek, second: FileKek) -> None:
        self._held = {kek.kek_id: kek for kek in (first, second)}
        self.kek_id = first.kek_id

    def wrap(self, name: str, key: bytes) -> bytes:
        return self._held[self.kek_id].wrap(name, key)

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        return self._held[kek_id_of(wrapped)].unwrap(name, wrapped)

    def holds(self, kek_id: bytes) -> bool:
        return kek_id in self._held

    def use(self, kek_id: bytes) -> None:
        self.kek_id = kek_id


def test_keys_that_are_not_stored_follow_a_rotation() -> None:
    """What goes into the database after the switch is wrapped by the next KEK, known keys too."""
    after = FileKek(b"\x02" * 32)
    ring = Keyring(TwoKeks(KEK, after))
    month, person = ring.month_key("core", "2026-11"), ring.subject_key("user:ana")
    stored = ring.subject_key("user:bo")
    stored.stored, as_stored = True, stored.wrapped
    ring.follow(after.kek_id, 0, 0)
    assert after.unwrap(month.name, month.wrapped) == month.key
    assert kek_id_of(person.wrapped) == after.kek_id
    assert stored.wrapped == as_stored
    assert ring.open_subject_key(person.key_id, "user:ana", person.wrapped) == person.key
    assert (ring.month_key("core", "2026-11"), ring.subject_key("user:ana")) == (month, person)
    assert KEK.unwrap(month.name, KEK.wrap(month.name, month.key)) == month.key


def test_fresh_keys_are_made_when_the_count_grows() -> None:
    """The first count that is seen changes nothing; a later one gives up keys of its kind only."""
    ring = Keyring(FileKek(bytes(32)))
    month, person = ring.month_key("core", "2026-11"), ring.subject_key("user:ana")
    ring.follow(None, 3, 5)
    assert (ring.month_key("core", "2026-11"), ring.subject_key("user:ana")) == (month, person)
    ring.follow(None, 4, 5)
    assert ring.month_key("core", "2026-11").name != month.name
    assert ring.held_month_key(month.name) == month.key
    assert ring.subject_key("user:ana") is person
    ring.follow(None, 4, 6)
    assert ring.subject_key("user:ana").key_id != person.key_id
