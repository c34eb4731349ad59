"""Which backups lie in a directory, and which belong together?

A full one and the incremental ones after it, each naming the hash of the manifest before it: a
chain. Invariant: a chain that is returned has no gap, and its ranges of entries follow each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from service.backup.errors import BackupDamaged, BackupMissing
from service.backup.manifest import MANIFEST, Manifest, check_files, check_mac, read_manifest
from service.ledger.keys import KeyWrapper

PARTIAL = ".partial"


class Backup(NamedTuple):
    """One backup on disk; `sha256` is that of its manifest."""

    directory: Path
    manifest: Manifest
    sha256: str


def backups(directory: Path) -> list[Backup]:
    """Return the backups of a directory, the oldest first. Raises `BackupDamaged`.

    What a backup that was cut short left (`*.partial`) is passed over.
    """
    found = [
        Backup(path, *read_manifest(path))
        for path in (sorted(directory.iterdir()) if directory.is_dir() else [])
        if path.is_dir() and path.suffix != PARTIAL and (path / MANIFEST).exists()
    ]
    return sorted(found, key=lambda backup: (backup.manifest.created_at, backup.manifest.id))


def chain(directory: Path, backup_id: str | None = None) -> list[Backup]:
    """Return the full backup and what follows it, up to this one; unset: up to the latest.

    Raises `BackupMissing`, `BackupDamaged`.
    """
    found = backups(directory)
    if not found:
        raise BackupMissing(f"there is no backup in {directory}")
    by_id = {backup.manifest.id: backup for backup in found}
    if backup_id is None:
        last = found[-1]
    else:
        named = [backup for backup in found if backup.manifest.id.startswith(backup_id)]
        if len(named) != 1:
            raise BackupMissing(f"{len(named)} backups in {directory} are called {backup_id}")
        last = named[0]
    line = [last]
    while (parent := line[0].manifest.parent) is not None:
        before = by_id.get(parent)
        if before is None:
            raise BackupDamaged(
                f"{line[0].directory} follows the backup {parent}, which is not here: put it back "
                "from where it went, or name an earlier backup with --backup ID"
            )
        if before.sha256 != line[0].manifest.parent_sha256:
            raise BackupDamaged(f"{before.directory} is not the backup that others follow")
        if before.manifest.size != line[0].manifest.first:
            raise BackupDamaged(f"{line[0].directory} does not begin where the one before ends")
        line.insert(0, before)
    if line[0].manifest.kind != "full" or line[0].manifest.first:
        raise BackupDamaged(f"{line[0].directory} does not begin with the first entry")
    return line


def check_chain(line: list[Backup], wrapper: KeyWrapper | None) -> None:
    """Raise `BackupDamaged` unless every file is what was written.

    With the key-encryption key it is shown against people, without it against damage only.
    """
    for backup in line:
        if wrapper is not None:
            check_mac(backup.directory, backup.manifest.data_key(wrapper))
        check_files(backup.directory, backup.manifest)
