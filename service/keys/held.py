"""Which KEKs can this process wrap and unwrap with?

All of its key files are opened when it starts; during a rotation more come. Invariant: wrapping and
unwrapping need nothing but memory, except for what an unknown KEK wrapped: then, and at most once
in some seconds, the key files are looked at again.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from pathlib import Path

from service.keys.slots import KekSlots
from service.ledger.errors import LedgerError, WrongKek
from service.ledger.keys import KEY_BYTES, FileKek, kek_id_of
from service.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
# A file that does not open may cost seconds of a key service's time each time.
FAILED_SECONDS = 60.0


class HeldKeks:
    """The KEKs of this process; implements `KeyWrapper`. Wraps with one, unwraps with any."""

    def __init__(self, slots: KekSlots) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._current = slots.open(slots.path)
        self._held = {self._current.kek_id: self._current}
        # By the digest of a key file's content: what was opened once is not asked for again.
        self._ids = {self._mark(slots.path): self._current.kek_id}
        self._failed_at: dict[bytes, float] = {}
        self._looked_at = 0.0
        self.look()
        if slots.is_in_clear():
            log.warning(
                "%s holds the key-encryption key in clear although a key service is set: "
                "`touchstone ledger rotate-keys kek` moves to a key that the service keeps",
                slots.path,
            )

    def __repr__(self) -> str:
        return f"HeldKeks({', '.join(kek_id.hex() for kek_id in self._held)})"

    @property
    def kek_id(self) -> bytes:
        """The KEK that wraps."""
        return self._current.kek_id

    def wrap(self, name: str, key: bytes) -> bytes:
        """Return the wrapped key."""
        return self._current.wrap(name, key)

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return the key; see `KeyWrapper.unwrap`."""
        kek = self._held.get(kek_id_of(wrapped))
        if kek is None and self._may_look():
            self.look()
            kek = self._held.get(kek_id_of(wrapped))
        return (kek or self._current).unwrap(name, wrapped)

    def holds(self, kek_id: bytes) -> bool:
        """Whether this KEK can be used; looks at the key files again when it is not known."""
        if kek_id not in self._held:
            self.look()
        return kek_id in self._held

    def use(self, kek_id: bytes) -> None:
        """Wrap with this KEK from here on. Raises `WrongKek` when it is not held."""
        kek = self._held.get(kek_id)
        if kek is None:
            raise WrongKek(
                f"the ledger's keys are wrapped with the key-encryption key {kek_id.hex()}, and no "
                f"key file like {self._slots.path} holds it"
            )
        self._current = kek

    def look(self) -> None:
        """Open the key files that are not open yet. One that does not open is left out for a while.

        May ask the key service.
        """
        with self._lock:
            now = self._looked_at = time.monotonic()
            for path in (self._slots.path, *self._slots.others()):
                mark = self._mark(path)
                if mark in self._ids or now - self._failed_at.get(mark, -1e9) < FAILED_SECONDS:
                    continue
                try:
                    kek = self._slots.open(path)
                except LedgerError as error:
                    self._failed_at[mark] = now
                    log.warning("a key-encryption key cannot be used: %s", error)
                else:
                    self._held[kek.kek_id] = kek
                    self._ids[mark] = kek.kek_id

    def add(self) -> tuple[Path, bytes]:
        """Make another KEK and a file of it; return where it is, and its id.

        May ask the key service. Raises as `KekSlots.add`.
        """
        kek = secrets.token_bytes(KEY_BYTES)
        path = self._slots.add(kek)
        self.look()
        return path, FileKek(kek).kek_id

    def promote(self) -> bool:
        """Make the file of the KEK that wraps the key file; see `KekSlots.promote`."""
        with self._lock:
            now = self.kek_id
            in_place = self._ids.get(self._mark(self._slots.path), now)
            return in_place == now or self._slots.promote(in_place, now)

    def _may_look(self) -> bool:
        return time.monotonic() - self._looked_at > LOOK_SECONDS

    @staticmethod
    def _mark(path: Path) -> bytes:
        try:
            return hashlib.sha256(path.read_bytes()).digest()
        except OSError:
            return b""


def open_wrapper(settings: Settings) -> HeldKeks:
    """Return what wraps and unwraps the keys of the ledger, ready for the hot path.

    May ask a key service, some seconds at most. Raises `KeyFileError`, `KeyServiceError`.
    """
    return HeldKeks(KekSlots(settings))
