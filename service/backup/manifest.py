"""What does a backup hold, and is it the one that was written?

`manifest.json` beside the files: what was copied, the hash of every file, the data key wrapped by
the key-encryption key; `manifest.mac`: its HMAC under the data key. Invariant: with the
key-encryption key nothing about a backup can be changed unseen; without it damage is seen.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.backup.errors import BackupDamaged
from service.ledger.errors import SealBroken
from service.ledger.keys import KeyWrapper

FORMAT: Literal["touchstone backup 1"] = "touchstone backup 1"
MANIFEST = "manifest.json"
MAC = "manifest.mac"
BUNDLES = "bundles"
READ_BYTES = 1 << 20
_FILE_NAME = re.compile(r"[a-z0-9_-]{1,80}\.sealed")

Part = Literal["whole", "range", "waiting", "changed", "gone", "bundles"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BackupFile(_Model):
    """One sealed file. `part`: which rows of `table` it has.

    `whole`: all. `range`: those of the entries [first, size). `waiting`: entries that are not in
    the tree. `changed`: earlier entries as they are. `gone`: the ids of earlier entries that were
    deleted. `bundles`: no rows, a tar of VAR/bundles.
    """

    name: str = Field(pattern=_FILE_NAME.pattern)
    table: str
    part: Part
    columns: tuple[str, ...]
    rows: int
    size: int
    sha256: str


class Manifest(_Model):
    """A backup. Of an incremental one `parent` is the backup before; `first` is its `size`.

    `root`: of the tree of the first `size` entries; `None` when that was damaged.

    `changes_from`: the next one asks for changes of this and later transactions.
    """

    format: Literal["touchstone backup 1"] = FORMAT
    id: str
    kind: Literal["full", "incremental"]
    log: str
    created_at: str
    lineage: str
    parent: str | None
    parent_sha256: str | None
    first: int
    size: int
    root: str | None
    entries: int
    checkpoint: str | None
    changes_from: int
    migrations: dict[str, str]
    sequences: dict[str, tuple[int, bool]]
    bundles_sha256: str | None
    files: tuple[BackupFile, ...]
    wrapped_key: str

    @property
    def waiting(self) -> int:
        """How many entries had no place in the tree."""
        return sum(file.rows for file in self.files if file.part == "waiting")

    def data_key(self, wrapper: KeyWrapper) -> bytes:
        """Return the key of the files. Raises `WrongKek`, and `BackupDamaged`."""
        try:
            return wrapper.unwrap(key_name(self.id), bytes.fromhex(self.wrapped_key))
        except (SealBroken, ValueError):
            raise BackupDamaged(f"the key of backup {self.id} was changed") from None


def key_name(backup_id: str) -> str:
    """Return the name that a backup's data key is wrapped under."""
    return f"backup/{backup_id}"


def write_manifest(directory: Path, manifest: Manifest, data_key: bytes) -> None:
    """Write manifest and MAC; raises OSError."""
    content = (manifest.model_dump_json(indent=1) + "\n").encode()
    (directory / MANIFEST).write_bytes(content)
    (directory / MAC).write_bytes(_mac(data_key, content))


def read_manifest(directory: Path) -> tuple[Manifest, str]:
    """Return the manifest and the SHA-256 of its bytes; raises `BackupDamaged`."""
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BackupDamaged(f"cannot read {path}: {error.strerror}") from None
    try:
        return Manifest.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except ValidationError:
        raise BackupDamaged(
            f"{path} is no manifest of a backup: it is damaged, or of a later release. Backups "
            "that do not build on it can be used once its directory is moved away"
        ) from None


def check_mac(directory: Path, data_key: bytes) -> None:
    """Raise `BackupDamaged` unless the manifest is what was written."""
    try:
        content = (directory / MANIFEST).read_bytes()
        told = (directory / MAC).read_bytes()
    except OSError:
        raise BackupDamaged(f"cannot read {directory / MAC}") from None
    if not hmac.compare_digest(_mac(data_key, content), told):
        raise BackupDamaged(f"{directory / MANIFEST} is not what was written")


def check_files(directory: Path, manifest: Manifest) -> None:
    """Raise `BackupDamaged` unless every file, and no other, is there as it was written."""
    named = {file.name for file in manifest.files}
    there = {path.name for path in directory.iterdir()} - {MANIFEST, MAC}
    if missing := sorted(named - there):
        raise BackupDamaged(f"{directory} lacks {', '.join(missing)}")
    if extra := sorted(there - named):
        raise BackupDamaged(f"{directory} has files that its manifest does not name: {extra[0]}")
    for file in manifest.files:
        path = directory / file.name
        digest = hashlib.sha256()
        try:
            with path.open("rb") as content:
                while chunk := content.read(READ_BYTES):
                    digest.update(chunk)
        except OSError as error:
            raise BackupDamaged(f"cannot read {path}: {error.strerror}") from None
        if digest.hexdigest() != file.sha256:
            raise BackupDamaged(f"{path} is not what was written")


def _mac(data_key: bytes, content: bytes) -> bytes:
    key = HKDFExpand(SHA256(), 32, b"touchstone backup manifest v1").derive(data_key)
    return hmac.digest(key, content, "sha256").hex().encode()
