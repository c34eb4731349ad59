"""Where do the two secret keys come from?

From files: given by the operator, or generated under the data directory at the first start with
embedded servers. Invariant: a key is never generated for a ledger that exists already, because
what an older key sealed would be lost without anybody noticing.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from service.ledger.errors import KeyFileError
from service.settings import PREFIX, Settings

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """The key-encryption key of the ledger and the key of the pseudonymous tags."""

    kek: bytes = field(repr=False)
    tag: bytes = field(repr=False)


def ensure_keys(settings: Settings) -> None:
    """Generate the keys of a data directory that has no ledger yet; otherwise check they are there.

    Raises `KeyFileError` when a key has to be given and is not.
    """
    given = {
        settings.kek_path: (settings.keys.kek_file, "KEYS__KEK_FILE"),
        settings.tag_key_path: (settings.keys.tag_key_file, "KEYS__TAG_KEY_FILE"),
    }
    external = settings.postgres.url is not None
    has_ledger = (settings.var / "postgres" / "PG_VERSION").exists()
    for path, (explicit, name) in given.items():
        if path.exists():
            read_key(path)
        elif explicit is not None:
            raise KeyFileError(f"{PREFIX}{name}: there is no file {path}")
        elif external:
            raise KeyFileError(
                f"with a PostgreSQL of your own, set {PREFIX}{name} to a file of {KEY_BYTES} "
                f"random bytes (head -c {KEY_BYTES} /dev/urandom > FILE), the same on every machine"
            )
        elif has_ledger:
            raise KeyFileError(
                f"{path} is missing, and the ledger beside it cannot be read without it: "
                "put it back from your backup"
            )
    for path in given:
        if not path.exists():
            _generate(path)


def read_keys(settings: Settings) -> SecretKeys:
    """Return both keys. Raises `KeyFileError`."""
    return SecretKeys(kek=read_key(settings.kek_path), tag=read_key(settings.tag_key_path))


def read_key(path: Path) -> bytes:
    """Return the 32 bytes of a key file that only its owner may read. Raises `KeyFileError`."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise KeyFileError(
                f"{path} may be read or written by others (mode {mode:04o}): chmod 600 {path}"
            )
        key = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {path}: {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{path} has {len(key)} bytes, not the {KEY_BYTES} of a key")
    return key


def _generate(path: Path) -> None:
    """Write a key so that it is whole and on disk, or not there at all."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise KeyFileError(f"cannot write the key file {path}: {error.strerror}") from None
