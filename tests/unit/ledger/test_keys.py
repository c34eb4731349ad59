"""Keys: who may read the file, what a wrong key says, which key seals what."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.ledger.errors import KeyFileError, SealBroken, WrongKek
from service.ledger.keys import FileKek, Keyring, create_kek_file

KEK = FileKek(bytes(32))


def test_file_is_created_for_its_owner_only(tmp_path: Path) -> None:
    """A created KEK has 32 random bytes, mode 0600, and is never replaced."""
    path = tmp_path / "kek.key"
    create_kek_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == 32
    FileKek.from_file(path)
    with pytest.raises(FileExistsError):
        create_kek_file(path)


def test_file_others_may_read_is_refused(tmp_path: Path) -> None:
    """The error names the file, its mode and the way out."""
    path = tmp_path / "kek.key"
    create_kek_file(path)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match=r"mode 0640.*chmod 600"):
        FileKek.from_file(path)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_file_of_another_length_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no key of 32 bytes is refused."""
    path = tmp_path / "kek.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match=f"has {len(content)} bytes"):
        FileKek.from_file(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(KeyFileError, match=r"cannot read .*absent"):
        FileKek.from_file(tmp_path / "absent")


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
