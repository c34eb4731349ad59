"""How is a file of a backup made unreadable, as a stream of any length?

Chunks of 1 MiB, each sealed by AES-256-GCM under a key of this file alone, with its number and
whether it is the last as nonce (the STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár,
"Online authenticated encryption and its nonce-reuse misuse-resistance", CRYPTO 2015). Invariant: a
chunk that was changed, moved, left out or added does not open, nor does a file that was cut short.

Bound: the data key is random for each backup, a file's name is used once in it, and the counter
never repeats: no two messages meet under one key and nonce.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from service.backup.errors import BackupDamaged

MAGIC = b"TSBACK01"
CHUNK_BYTES = 1 << 20
TAG_BYTES = 16


class Written(NamedTuple):
    """The bytes of a file as they are on disk."""

    size: int
    sha256: str


class SealedWriter:
    """Writes one file; use as a context manager. On disk and fsynced when the block ends."""

    def __init__(self, path: Path, data_key: bytes, backup_id: str) -> None:
        self._aead, self._place = _cipher(data_key, backup_id, path.name)
        self._file: BinaryIO = path.open("xb")
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._count = 0
        self._size = 0
        self._put(MAGIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._seal(bytes(self._buffer), is_last=True)
                self._file.flush()
                os.fsync(self._file.fileno())

    def write(self, data: bytes) -> int:
        """Take more bytes; raises OSError."""
        self._buffer += data
        # The last chunk is sealed as such, so a full one is kept until more comes.
        while len(self._buffer) > CHUNK_BYTES:
            self._seal(bytes(self._buffer[:CHUNK_BYTES]), is_last=False)
            del self._buffer[:CHUNK_BYTES]
        return len(data)

    def written(self) -> Written:
        """Return what is on disk, after the block."""
        return Written(self._size, self._digest.hexdigest())

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        self._put(self._aead.encrypt(_nonce(self._count, is_last), chunk, self._place))
        self._count += 1

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)


def opened(path: Path, data_key: bytes, backup_id: str) -> Iterator[bytes]:
    """Yield the content of a file, chunk by chunk; raises `BackupDamaged` at the first bad one."""
    aead, place = _cipher(data_key, backup_id, path.name)
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BackupDamaged(f"{path} is no file of a backup")
            count, sealed = 0, file.read(CHUNK_BYTES + TAG_BYTES)
            while True:
                following = file.read(CHUNK_BYTES + TAG_BYTES)
                yield aead.decrypt(_nonce(count, not following), sealed, place)
                if not following:
                    return
                count, sealed = count + 1, following
    except (InvalidTag, ValueError):
        raise BackupDamaged(f"{path} was changed, cut short or moved: it does not open") from None
    except OSError as error:
        raise BackupDamaged(f"cannot read {path}: {error.strerror}") from None


def _cipher(data_key: bytes, backup_id: str, name: str) -> tuple[AESGCM, bytes]:
    place = f"touchstone backup v1|{backup_id}|{name}".encode()
    return AESGCM(HKDFExpand(SHA256(), 32, place).derive(data_key)), place


def _nonce(count: int, is_last: bool) -> bytes:
    return count.to_bytes(11, "big") + bytes([is_last])
