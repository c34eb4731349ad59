"""Which keys seal the blocks, and who holds them?

The key-encryption key (KEK) wraps month keys (core, staff) and one key for each person (subject).
Only wrapped keys are stored. Invariant: a key's row is durable together with, or before, the first
entry that is sealed under it; until then the key counts as not `stored` and travels with its
entries.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from service.ledger.errors import KeyFileError, SealBroken, WrongKek

KEY_BYTES = 32
KEK_ID_BYTES = 8
# About 0.5 KB each: 25 MB at most. A person who comes back after eviction gets one more key row.
SUBJECT_KEYS_CACHED = 50_000

_NONCE_BYTES = 12
_FORMAT = b"\x01"


class KeyWrapper(Protocol):
    """Holds the key-encryption key.

    Both methods run on the hot path, once for each new person, and must not wait for a network: an
    implementation on a key service (AWS KMS, Transit) asks it once, at start, to unwrap an
    intermediate key, and wraps with that.
    """

    def wrap(self, name: str, key: bytes) -> bytes:
        """Return the key sealed for storage and bound to its name. Never fails."""
        ...

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return the key. Raises `WrongKek` for another KEK, `SealBroken` for damage."""
        ...


class FileKek:
    """A KEK of 32 bytes held in memory; wraps with AES-256-GCM.

    Wrapped: format (1), KEK id (8), nonce (12), key and tag (48 bytes); additional data: the name.
    Random 96-bit nonces are good for 2^32 wraps under one KEK (NIST SP 800-38D, 8.3): rotate
    before.
    """

    def __init__(self, kek: bytes) -> None:
        if len(kek) != KEY_BYTES:
            raise KeyFileError(f"a key-encryption key has {KEY_BYTES} bytes, not {len(kek)}")
        self._aead = AESGCM(_expand(kek, b"touchstone kek wrap v1", KEY_BYTES))
        self.kek_id = _expand(kek, b"touchstone kek id v1", KEK_ID_BYTES)

    def wrap(self, name: str, key: bytes) -> bytes:
        """Return the wrapped key."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + self.kek_id + nonce + self._aead.encrypt(nonce, key, name.encode())

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return the key; see `KeyWrapper.unwrap`."""
        head = len(_FORMAT) + KEK_ID_BYTES
        if wrapped[: len(_FORMAT)] != _FORMAT:
            raise SealBroken(f"the wrapped key {name} has an unknown format")
        if (held_by := wrapped[len(_FORMAT) : head]) != self.kek_id:
            raise WrongKek(
                f"the key {name} was wrapped by the key-encryption key {held_by.hex()}, "
                f"but {self.kek_id.hex()} is loaded"
            )
        nonce, sealed = wrapped[head : head + _NONCE_BYTES], wrapped[head + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, sealed, name.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"the wrapped key {name} was changed or moved") from None


@dataclass(slots=True, eq=False)
class MonthKey:
    """A key of one purpose and month; `name` is what headers show, such as `core/2026-11/9f3a…`."""

    name: str
    key: bytes
    wrapped: bytes
    stored: bool


@dataclass(slots=True, eq=False)
class SubjectKey:
    """One generation of a person's key; erasing the person deletes every row of the tag."""

    key_id: bytes
    subject_tag: str
    key: bytes
    wrapped: bytes
    stored: bool


class Keyring:
    """The keys that this process seals and opens with, unwrapped, shared by writer and reader."""

    def __init__(self, wrapper: KeyWrapper, max_subjects: int = SUBJECT_KEYS_CACHED) -> None:
        self._wrapper = wrapper
        self._max_subjects = max_subjects
        self._months: dict[tuple[str, str], MonthKey] = {}
        self._by_name: dict[str, bytes] = {}
        self._subjects: OrderedDict[str, SubjectKey] = OrderedDict()

    def month_key(self, purpose: str, month: str) -> MonthKey:
        """Return the key to seal with; makes one when the database had none at the last look.

        Writers that make one at the same time have two names for one month, which harms nobody.
        """
        key = self._months.get((purpose, month))
        if key is None:
            secret = os.urandom(KEY_BYTES)
            name = f"{purpose}/{month}/{os.urandom(4).hex()}"
            key = MonthKey(name, secret, self._wrapper.wrap(name, secret), stored=False)
            self._months[purpose, month] = key
            self._by_name[name] = secret
        return key

    def learn_month_key(self, name: str, wrapped: bytes) -> None:
        """Use a stored key for its month, unless one is in use. Raises as `KeyWrapper.unwrap`."""
        purpose, month, _ = name.split("/")
        if (purpose, month) not in self._months:
            key = MonthKey(name, self.open_month_key(name, wrapped), wrapped, stored=True)
            self._months[purpose, month] = key

    def held_month_key(self, name: str) -> bytes | None:
        """Return a month key that this process knows."""
        return self._by_name.get(name)

    def open_month_key(self, name: str, wrapped: bytes) -> bytes:
        """Return the key of a stored row. Raises as `KeyWrapper.unwrap`."""
        key = self._by_name.get(name)
        if key is None:
            key = self._by_name[name] = self._wrapper.unwrap(name, wrapped)
        return key

    def subject_key(self, subject_tag: str) -> SubjectKey:
        """Return the person's key of this process; makes one for a person it does not know."""
        key = self._subjects.get(subject_tag)
        if key is not None:
            self._subjects.move_to_end(subject_tag)
            return key
        key = self._subjects[subject_tag] = self.fresh_subject_key(subject_tag)
        if len(self._subjects) > self._max_subjects:
            self._subjects.popitem(last=False)
        return key

    def fresh_subject_key(self, subject_tag: str) -> SubjectKey:
        """Return a key that seals one entry only."""
        key_id, secret = os.urandom(16), os.urandom(KEY_BYTES)
        wrapped = self._wrapper.wrap(_subject_key_name(key_id, subject_tag), secret)
        return SubjectKey(key_id, subject_tag, secret, wrapped, stored=False)

    def open_subject_key(self, key_id: bytes, subject_tag: str, wrapped: bytes) -> bytes:
        """Return the key of a stored row. Raises as `KeyWrapper.unwrap`."""
        return self._wrapper.unwrap(_subject_key_name(key_id, subject_tag), wrapped)

    def forget_subject(self, subject_tag: str) -> None:
        """Drop the person's key: the next entry about them gets a fresh one (erasure)."""
        self._subjects.pop(subject_tag, None)


def _subject_key_name(key_id: bytes, subject_tag: str) -> str:
    # The tag is bound in: a key whose tag was changed would be missed by an erasure.
    return f"subject/{key_id.hex()}/{subject_tag}"


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(key)
