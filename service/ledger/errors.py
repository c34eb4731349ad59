"""What can go wrong with the ledger?

Domain errors know no HTTP; every leaf has a stable `code`. `DuplicateEvent` is the caller's matter,
`LedgerUnavailable` says that the world is down, the rest is a wrong set-up or damage.
"""

from __future__ import annotations


class LedgerError(Exception):
    """Something about the ledger; every leaf has a stable `code`."""

    code = "ledger_error"


class LedgerUnavailable(LedgerError):
    """The entry could not be made durable (or not be read) within the caller's time.

    It is not known to be absent: an entry that was being written when the time ran out may turn up
    in the log. A repeat of its event then raises `DuplicateEvent`.
    """

    code = "ledger_unavailable"


class DuplicateEvent(LedgerError):
    """Another entry of the log has this event key; nothing was written."""

    code = "duplicate_event"

    def __init__(self, event_key: bytes) -> None:
        super().__init__("another entry has this event key")
        self.event_key = event_key


class BadDraft(LedgerError):
    """The draft breaks a rule of `EntryDraft`; nothing was written."""

    code = "bad_draft"


class BadHeader(LedgerError):
    """The bytes are not a canonical header of a version that this code knows."""

    code = "bad_header"


class SealBroken(LedgerError):
    """A sealed block or wrapped key does not open: changed, moved, or sealed under another key."""

    code = "seal_broken"


class WrongKek(LedgerError):
    """A key was wrapped by another key-encryption key than the one that is loaded."""

    code = "wrong_kek"


class KeyFileError(LedgerError):
    """The file of the key-encryption key is missing, readable by others or no key."""

    code = "key_file_invalid"


class KeyMissing(LedgerError):
    """The key of a sealed block is not in the database."""

    code = "key_missing"


class NotDurable(LedgerError):
    """PostgreSQL runs with settings under which a commit may be lost in a crash."""

    code = "not_durable"


class SpoolFull(LedgerError):
    """The spool has no room left under its bound."""

    code = "spool_full"


class SpoolBroken(LedgerError):
    """The spool cannot be written or read: disk, permissions or damage."""

    code = "spool_broken"
