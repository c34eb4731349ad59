"""What can go wrong with a backup."""

from __future__ import annotations


class BackupError(Exception):
    """Something about backups; every leaf has a stable `code`."""

    code = "backup_error"


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
