"""Why does the signer not sign?

`SignerRefuses` and its leaves: the database contradicts what was signed, and somebody has to look.
The others: the signer's own directory is in use, damaged or not the log's.
"""

from __future__ import annotations

from service.ledger.errors import LedgerError


class SignerError(LedgerError):
    """Something about the signer."""

    code = "signer_error"


class SignerBusy(SignerError):
    """Another process has held the signer's directory for too long."""

    code = "signer_busy"


class SignerBroken(SignerError):
    """The signer's directory cannot be read or written: disk, permissions or damage."""

    code = "signer_broken"


class SignerRefuses(SignerError):
    """The database contradicts what was signed; nothing is signed until somebody has looked."""

    code = "signer_refuses"


class LogRolledBack(SignerRefuses):
    """Entries that were signed are not in the database: an older state of it was restored."""

    code = "log_rolled_back"


class LogForked(SignerRefuses):
    """The database has other entries than those that were signed."""

    code = "log_forked"


class LeafWrong(SignerRefuses):
    """An entry that is to be signed is missing, or is not what was placed in the tree."""

    code = "leaf_wrong"


class OtherSigner(SignerRefuses):
    """The log is signed by a key that is not in this directory."""

    code = "other_signer"
