"""How does a package lie on disk? Sealed, in one directory, a file for each member.

AES-256-GCM in chunks of 64 KiB under a key of this package alone, so that any byte can be read
without those before it. A nonce is the member's place and the number of the chunk: each is used
once, as a place is written once and every attempt has a key of its own. Chunks are bound to the
export, their order and, for the last one, to being the last. Invariant: without the key, which is
deleted with the package, nothing that was disclosed can be read.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.audit.package.members import Piece

CHUNK_BYTES = 64 * 1024
KEY_BYTES = 32
TAG_BYTES = 16
_NONCE = struct.Struct(">IQ")


class PackageDamaged(Exception):
    """A file of the package is cut, changed or gone."""

    code = "package_damaged"


class SealedStore:
    """The sink and the source of one package. `key`: 32 bytes; it is in no text of this object."""

    def __init__(self, directory: Path, export_id: bytes, key: bytes) -> None:
        self._directory = directory
        self._export_id = export_id
        self._key = key

    def __repr__(self) -> str:
        return f"SealedStore({self._directory})"

    def create(self) -> None:
        """Make the directory, for the owner only. Raises `OSError`, also when it is there."""
        self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.mkdir(mode=0o700)

    def remove(self) -> None:
        """Delete everything; nothing to delete is no error."""
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def is_there(self) -> bool:
        """Whether the package lies in this directory."""
        return self._directory.is_dir()

    def open(self, place: int) -> SealedFile:
        """Give the file of one member; see `Sink`."""
        file = os.open(
            self._directory / f"{place:06d}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
        )
        return SealedFile(file, AESGCM(self._key), self._export_id, place)

    def read(self, piece: Piece) -> Iterator[bytes]:
        """Yield the bytes of a piece. Raises `PackageDamaged`."""
        aead = AESGCM(self._key)
        first, skip = divmod(piece.offset, CHUNK_BYTES)
        left = piece.length
        try:
            with (self._directory / f"{piece.place:06d}").open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(first * (CHUNK_BYTES + TAG_BYTES))
                number = first
                while left:
                    sealed = file.read(CHUNK_BYTES + TAG_BYTES)
                    is_last = file.tell() == size
                    nonce = _NONCE.pack(piece.place, number)
                    data = aead.decrypt(nonce, sealed, _bound(self._export_id, is_last))
                    data = data[skip : skip + left]
                    if not data:
                        raise PackageDamaged("a file of the package is too short")
                    left -= len(data)
                    skip = 0
                    number += 1
                    yield data
        except (OSError, InvalidTag, ValueError) as error:
            raise PackageDamaged(f"the package cannot be read: {type(error).__name__}") from None


class SealedFile:
    """Seals the bytes of one member."""

    def __init__(self, file: int, aead: AESGCM, export_id: bytes, place: int) -> None:
        self._file = open(file, "wb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._aead = aead
        self._export_id = export_id
        self._place = place
        self._number = 0
        self._waiting = b""

    def write(self, data: bytes) -> None:
        """Add bytes; raises `OSError`."""
        data = self._waiting + data if self._waiting else data
        # The last chunk waits: until `close` nobody knows that it is the last.
        at = 0
        sealed = []
        while len(data) - at > CHUNK_BYTES:
            sealed.append(self._sealed(data[at : at + CHUNK_BYTES], is_last=False))
            at += CHUNK_BYTES
        self._waiting = data[at:]
        self._write(b"".join(sealed))

    def close(self) -> None:
        """Write what waits; raises `OSError`."""
        with self._file:
            self._write(self._sealed(self._waiting, is_last=True))

    def _sealed(self, chunk: bytes, *, is_last: bool) -> bytes:
        nonce = _NONCE.pack(self._place, self._number)
        self._number += 1
        return self._aead.encrypt(nonce, chunk, _bound(self._export_id, is_last))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]


def _bound(export_id: bytes, is_last: bool) -> bytes:
    return b"touchstone export v1|" + export_id + (b"|last" if is_last else b"|more")
