"""What can go wrong with a key service?

Each says which service, what it said and what to do about it; none carries a token or a key.
"""

from __future__ import annotations

from service.ledger.errors import LedgerError


class KeyServiceError(LedgerError):
    """The service that holds the key-encryption key did not give it."""

    code = "key_service_failed"


class KeyServiceUnreachable(KeyServiceError):
    """It cannot be reached, or does not answer in time."""

    code = "key_service_unreachable"


class KeyServiceSealed(KeyServiceError):
    """It is there and its keys are locked: a sealed vault, a disabled key."""

    code = "key_service_sealed"


class KeyServiceForbidden(KeyServiceError):
    """It refuses us: no token or credentials, or too few rights."""

    code = "key_service_forbidden"


class RotationBlocked(LedgerError):
    """A rotation waits for a process that does not follow; it can be taken up again."""

    code = "rotation_blocked"
