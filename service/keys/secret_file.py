"""How does a secret get into a file, and out of it?

Invariants: a file is whole and on disk, or not there at all; one that others may read is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from service.ledger.errors import KeyFileError

KEY_BYTES = 32


def read_key(path: Path) -> bytes:
    """Return the 32 bytes of a key file that only its owner may read. Raises `KeyFileError`."""
    key = read_secret(path)
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{path} has {len(key)} bytes, not the {KEY_BYTES} of a key")
    return key


def read_secret(path: Path) -> bytes:
    """Return what a file holds that only its owner may read. Raises `KeyFileError`."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise KeyFileError(
                f"{path} may be read or written by others (mode {mode:04o}): chmod 600 {path}"
            )
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {path}: {error.strerror}") from None


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that is not there yet. Raises `KeyFileError`."""
    fresh = path.with_name(f"{path.name}.writing")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _put(fresh, path)
        sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(f"cannot write the key file {path}: {error.strerror}") from None


def _put(fresh: Path, path: Path) -> None:
    """Give the file its name, unless another has it. Raises `OSError`."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: nobody else may be at it meanwhile
        if path.exists():
            raise
        fresh.rename(path)
    else:
        fresh.unlink()


def sync_directory(path: Path) -> None:
    """Make names that were given or taken in a directory durable. Raises `OSError`."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
