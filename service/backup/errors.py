"""What can go wrong with a backup."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


class BackupError(Exception):
    """Something about backups; every leaf has a stable `code`."""

    code = "backup_error"


class BackupNotWritten(BackupError):
    """The disk does not take it: what was written of it is deleted."""

    code = "backup_not_written"


class BackupDamaged(BackupError):
    """A file of a backup is missing, changed, or does not open."""

    code = "backup_damaged"


class BackupMissing(BackupError):
    """There is no such backup here."""

    code = "backup_missing"


class NotEmpty(BackupError):
    """The database to restore into is not empty; nothing was changed."""

    code = "database_not_empty"


class OtherRelease(BackupError):
    """The backup was taken by another release than this one, which cannot restore it."""

    code = "backup_of_another_release"


@contextlib.contextmanager
def written_in(directory: Path) -> Iterator[None]:
    """Turn what a disk refuses into `BackupNotWritten`: elsewhere it would look like PostgreSQL's.

    A connection that breaks is none of it.
    """
    try:
        yield
    except ConnectionError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise BackupNotWritten(f"nothing can be written in {directory}: {reason}") from None
