"""Which keys seal the blocks, and who holds them?

The key-encryption key (KEK) wraps month keys (core, staff) and one key for each person (subject).
Only wrapped keys are stored. Invariant: a key's row is durable together with, or before, the first
entry that is sealed under it; until then the key counts as not `stored` and travels with its
entries.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Collection
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
_HEAD = len(_FORMAT) + KEK_ID_BYTES


class KeyWrapper(Protocol):
    """Holds the key-encryption key, and during a rotation more than one.

    `wrap` and `unwrap` run on the hot path, once for each new person, and must not wait for a
    network: a key service (AWS KMS, Transit) is asked once, at start, to unwrap the KEK.
    """

    @property
    def kek_id(self) -> bytes:
        """The id of the KEK that `wrap` uses."""
        ...

    def wrap(self, name: str, key: bytes) -> bytes:
        """Return the key sealed for storage and bound to its name. Never fails."""
        ...

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return the key, whichever held KEK wrapped it.

        Raises `WrongKek` for a KEK that is not held, `SealBroken` for damage.
        """
        ...

    def holds(self, kek_id: bytes) -> bool:
        """Whether it can unwrap with this KEK. May read files and ask a key service: seconds."""
        ...

    def use(self, kek_id: bytes) -> None:
        """Wrap with this KEK from here on. Raises `WrongKek` when it is not held."""
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
        self._kek_id = _expand(kek, b"touchstone kek id v1", KEK_ID_BYTES)

    @property
    def kek_id(self) -> bytes:
        """A name of the KEK that gives nothing of it away."""
        return self._kek_id

    def holds(self, kek_id: bytes) -> bool:
        """Whether it is this one."""
        return kek_id == self._kek_id

    def use(self, kek_id: bytes) -> None:
        """Do nothing for this one; see `KeyWrapper.use`."""
        if kek_id != self._kek_id:
            raise WrongKek(
                f"keys are wrapped by the key-encryption key {kek_id.hex()}, "
                f"but {self._kek_id.hex()} is loaded"
            )

    def wrap(self, name: str, key: bytes) -> bytes:
        """Return the wrapped key."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + self._kek_id + nonce + self._aead.encrypt(nonce, key, name.encode())

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return the key; see `KeyWrapper.unwrap`."""
        if wrapped[: len(_FORMAT)] != _FORMAT:
            raise SealBroken(f"the wrapped key {name} has an unknown format")
        if (held_by := kek_id_of(wrapped)) != self._kek_id:
            raise WrongKek(
                f"the key {name} was wrapped by the key-encryption key {held_by.hex()}, "
                f"but {self._kek_id.hex()} is loaded"
            )
        nonce, sealed = wrapped[_HEAD : _HEAD + _NONCE_BYTES], wrapped[_HEAD + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, sealed, name.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"the wrapped key {name} was changed or moved") from None


def kek_id_of(wrapped: bytes) -> bytes:
    """Return the id of the KEK that wrapped a key."""
    return wrapped[len(_FORMAT) : _HEAD]


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
        self._generations: tuple[int, int] | None = None

    def holds_kek(self, kek_id: bytes) -> bool:
        """Whether keys that this KEK wrapped can be opened; see `KeyWrapper.holds`."""
        return self._wrapper.holds(kek_id)

    def follow(self, kek_id: bytes | None, months: int, subjects: int) -> None:
        """Wrap with this KEK (None: as before), and with fresh keys when their count is another.

        Raises `WrongKek` when the KEK is not held.
        """
        if kek_id is not None and kek_id != self._wrapper.kek_id:
            self._wrapper.use(kek_id)
            for month in self._months.values():
                if not month.stored:
                    month.wrapped = self._wrapper.wrap(month.name, month.key)
            for one in self._subjects.values():
                if not one.stored:
                    name = _subject_key_name(one.key_id, one.subject_tag)
                    one.wrapped = self._wrapper.wrap(name, one.key)
        if self._generations is not None:
            if self._generations[0] != months:
                self._months.clear()
            if self._generations[1] != subjects:
                self._subjects.clear()
        self._generations = months, subjects

    def rewrapped_month_key(self, name: str, wrapped: bytes) -> bytes:
        """Return the key under the KEK of the moment. Raises as `KeyWrapper.unwrap`."""
        return self._rewrapped(name, wrapped)

    def rewrapped_subject_key(self, key_id: bytes, subject_tag: str, wrapped: bytes) -> bytes:
        """Return the key under the KEK of the moment. Raises as `KeyWrapper.unwrap`."""
        return self._rewrapped(_subject_key_name(key_id, subject_tag), wrapped)

    def _rewrapped(self, name: str, wrapped: bytes) -> bytes:
        if kek_id_of(wrapped) == self._wrapper.kek_id:
            return wrapped
        return self._wrapper.wrap(name, self._wrapper.unwrap(name, wrapped))

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

    def held_subject_key(self, key_id: bytes | None) -> bytes | None:
        """Return a person's key that this process seals with; looks at all of them."""
        held = (key for key in self._subjects.values() if key.key_id == key_id)
        return next((key.key for key in held), None)

    def forget_subject(self, subject_tag: str) -> None:
        """Drop the person's key: the next entry about them gets a fresh one (erasure)."""
        self._subjects.pop(subject_tag, None)

    def forget_subject_keys(self, key_ids: Collection[bytes]) -> None:
        """Drop the keys with these ids, those of erased persons; 3 ms for 50,000 keys held."""
        gone = [tag for tag, key in self._subjects.items() if key.key_id in key_ids]
        for tag in gone:
            del self._subjects[tag]


def _subject_key_name(key_id: bytes, subject_tag: str) -> str:
    # The tag is bound in: a key whose tag was changed would be missed by an erasure.
    return f"subject/{key_id.hex()}/{subject_tag}"


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(key)
