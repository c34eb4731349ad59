"""Where does the key-encryption key (KEK) come from?

What lies in the key file is either the KEK itself (provider `file`) or the KEK as a key service
wrapped it; then the file is of no use without the service. Invariant: a service is asked when a
process starts and when keys are rotated, never for an entry.
"""

from __future__ import annotations

import json
from typing import NamedTuple, Protocol

from service.ledger.errors import KeyFileError
from service.ledger.keys import KEY_BYTES, FileKek

_FORMAT = "touchstone kek 1"


class KekProvider(Protocol):
    """One way to keep a KEK. Both calls may block for some seconds: not for an event loop."""

    name: str

    def pack(self, kek: bytes) -> bytes:
        """Return what to write into the key file for this KEK.

        Called once for each KEK, before it wraps anything. Raises `KeyServiceError` when the
        service cannot be reached, is sealed or refuses; nothing is kept there in any case.
        """
        ...

    def unpack(self, content: bytes) -> bytes:
        """Return the KEK of a key file that `pack` wrote, by this process or another.

        Called when a process starts, and once for each KEK that a rotation brings. Raises
        `KeyServiceError`, and `KeyFileError` when the content is damaged, cut or exchanged.
        """
        ...


class File:
    """The key file holds the KEK in clear: 32 random bytes."""

    name = "file"

    def pack(self, kek: bytes) -> bytes:
        """Return the KEK."""
        return kek

    def unpack(self, content: bytes) -> bytes:
        """Return the KEK; see `KekProvider.unpack`."""
        if len(content) != KEY_BYTES:
            raise KeyFileError(f"has {len(content)} bytes, not the {KEY_BYTES} of a key")
        return content


class Wrapped(NamedTuple):
    """A KEK that a service wrapped: with which of its keys, and the result as text."""

    provider: str
    key: str
    wrapped: str
    kek_id: str

    def to_bytes(self) -> bytes:
        """Return the content of a key file."""
        document = {"format": _FORMAT, **self._asdict()}
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Wrapped:
        """Read the content of a key file. Raises `KeyFileError`, which shows nothing of it."""
        try:
            document = json.loads(content)
            if document.pop("format") == _FORMAT:
                found = cls(**document)
                if all(isinstance(field, str) for field in found):
                    return found
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        raise KeyFileError(
            f"has {len(content)} bytes that are neither the {KEY_BYTES} of a key nor a key "
            "that a key service wrapped"
        )

    def checked(self, kek: bytes) -> bytes:
        """Return the KEK when it is the one that was wrapped here. Raises `KeyFileError`."""
        if len(kek) != KEY_BYTES or FileKek(kek).kek_id.hex() != self.kek_id:
            raise KeyFileError("gives another key than the one that was put there")
        return kek


def provider_of(content: bytes) -> str:
    """Return the name of the provider that packed this. Raises `KeyFileError`."""
    return File.name if len(content) == KEY_BYTES else Wrapped.from_bytes(content).provider


def kek_id_in(content: bytes) -> bytes:
    """Return the id of the KEK in a key file, as the file says it. Raises `KeyFileError`."""
    if provider_of(content) == File.name:
        return FileKek(content).kek_id
    try:
        return bytes.fromhex(Wrapped.from_bytes(content).kek_id)
    except ValueError:
        raise KeyFileError("names a key that cannot be") from None
