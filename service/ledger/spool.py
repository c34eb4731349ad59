"""Where do entries wait, durable, while PostgreSQL is away?

One append-only file for each writer process, held by a file lock: the mark of a group, its length,
its CRC-32, the group (`frames.py`; sealed rows, nothing readable). Invariant: `append` returns
after fsync, and from then on the group is read back or reported as damaged; a torn tail can only be
a group that was never acknowledged.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from service.ledger.errors import SpoolBroken, SpoolFull

SUFFIX = ".spool"
DAMAGED = ".damaged"
MAGIC = b"TSSPOOL1"
MARK = b"\xf7GRP"
_HEAD = struct.Struct(">4sII")
_READ_BYTES = 1 << 20

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A readable group: where it begins and ends, and its bytes."""

    begin: int
    end: int
    payload: bytes


class Damage(NamedTuple):
    """Bytes that are no group. `torn`: nothing readable follows, as after a crash in mid-write."""

    begin: int
    end: int
    torn: bool


class Spool:
    """An open, locked spool file. Not safe for two appends at once; reading beside one is."""

    def __init__(self, path: Path, descriptor: int, max_bytes: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self.end = max(os.fstat(descriptor).st_size, len(MAGIC))
        self.broken: str | None = None

    @classmethod
    def create(cls, directory: Path, name: str, max_bytes: int) -> Spool:
        """Create and lock the file; raises `SpoolBroken` when the directory cannot be written."""
        path = directory / (name + SUFFIX)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(descriptor, MAGIC, 0)
            os.fsync(descriptor)
            _fsync_directory(directory)
        except OSError as error:
            raise SpoolBroken(f"cannot write a spool in {directory}: {error.strerror}") from None
        return cls(path, descriptor, max_bytes)

    @classmethod
    def adopt(cls, path: Path) -> Spool | None:
        """Lock a file that another process left; `None` when its process lives or it is gone."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SpoolBroken(f"cannot open {path}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have drained and removed it meanwhile.
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return cls(path, descriptor, max_bytes=0)
        except OSError:
            pass
        os.close(descriptor)
        return None

    @classmethod
    def peek(cls, path: Path) -> Spool:
        """Open a file for reading beside its owner. Raises `SpoolBroken`."""
        try:
            return cls(path, os.open(path, os.O_RDONLY), max_bytes=0)
        except OSError as error:
            raise SpoolBroken(f"cannot open {path}: {error.strerror}") from None

    @property
    def is_empty(self) -> bool:
        """Whether no group was written since the file was made or cleared."""
        return self.end == len(MAGIC)

    @property
    def size_bytes(self) -> int:
        """Bytes of groups in the file."""
        return self.end - len(MAGIC)

    def room_bytes(self) -> int:
        """Return how long a group may be."""
        return self._max_bytes - self.end - _HEAD.size

    def append(self, payload: bytes) -> int:
        """Write a group and fsync; return where it begins.

        Raises `SpoolFull` with nothing written, `SpoolBroken` when the group cannot be made
        durable: it is cut off again, or the spool takes nothing more.
        """
        if self.broken is not None:
            raise SpoolBroken(self.broken)
        if len(payload) > self.room_bytes():
            raise SpoolFull(f"the spool has reached its bound of {self._max_bytes} bytes")
        begin = self.end
        try:
            _write_all(self._descriptor, _HEAD.pack(MARK, len(payload), zlib.crc32(payload)), begin)
            _write_all(self._descriptor, payload, begin + _HEAD.size)
            os.fsync(self._descriptor)
        except OSError as error:
            self._cut(begin, error)
            raise SpoolBroken(f"cannot write {self.path}: {error.strerror}") from None
        self.end = begin + _HEAD.size + len(payload)
        return begin

    def groups(self, begin: int | None = None) -> Iterator[Found | Damage]:
        """Yield the groups from `begin` on to the present end, and what is no group."""
        at, end = len(MAGIC) if begin is None else begin, self.end
        if begin is None and self._read(0, len(MAGIC)) not in (MAGIC, b""):
            yield Damage(0, len(MAGIC), torn=False)
        while at < end:
            found = self._group_at(at, end)
            if found is None:
                after = self._next_group(at + 1, end)
                yield Damage(at, end if after is None else after, torn=after is None)
                if after is None:
                    return
                at = after
            else:
                yield found
                at = found.end

    def clear(self) -> None:
        """Forget every group. Raises `SpoolBroken`; the groups are then still there."""
        try:
            os.ftruncate(self._descriptor, len(MAGIC))
            os.fsync(self._descriptor)
        except OSError as error:
            self.broken = f"cannot clear {self.path}: {error.strerror}"
            raise SpoolBroken(self.broken) from None
        self.end = len(MAGIC)

    def remove(self) -> None:
        """Delete the file and let go of it; one that cannot be deleted stays for the next start."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot delete %s: %s", self.path, error.strerror)
        self.release()

    def keep_as_damaged(self) -> Path:
        """Rename the file so that nobody drains it again, let go of it and return its new path."""
        kept = self.path.with_suffix(DAMAGED)
        self.path.rename(kept)
        self.release()
        return kept

    def release(self) -> None:
        """Let go of the file and leave it where it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _cut(self, begin: int, cause: OSError) -> None:
        # After a failed fsync the kernel may have dropped the pages: nothing behind `begin` counts.
        try:
            os.ftruncate(self._descriptor, begin)
            os.fsync(self._descriptor)
        except OSError:
            self.broken = f"cannot write {self.path}: {cause.strerror}"

    def _read(self, begin: int, length: int) -> bytes:
        try:
            return os.pread(self._descriptor, length, begin)
        except OSError as error:
            raise SpoolBroken(f"cannot read {self.path}: {error.strerror}") from None

    def _group_at(self, at: int, end: int) -> Found | None:
        head = self._read(at, _HEAD.size)
        if len(head) < _HEAD.size:
            return None
        mark, length, crc = _HEAD.unpack(head)
        begin = at + _HEAD.size
        if mark != MARK or begin + length > end:
            return None
        payload = self._read(begin, length)
        if len(payload) != length or zlib.crc32(payload) != crc:
            return None
        return Found(at, begin + length, payload)

    def _next_group(self, at: int, end: int) -> int | None:
        while at < end:
            window = self._read(at, _READ_BYTES)
            hit = window.find(MARK)
            while hit >= 0:
                if self._group_at(at + hit, end) is not None:
                    return at + hit
                hit = window.find(MARK, hit + 1)
            at += max(len(window) - len(MARK) + 1, 1)
        return None


def leftover_paths(directory: Path) -> list[Path]:
    """Return the spool files of a directory, in a fixed order; also those of living writers."""
    return sorted(directory.glob("*" + SUFFIX))


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
