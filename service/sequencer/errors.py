"""Why does a sequencer not place anything?"""

from __future__ import annotations

from service.ledger.errors import LedgerError


class NotLeader(LedgerError):
    """Another sequencer leads the log; this one changed nothing since."""

    code = "not_leader"


class ForeignTree(LedgerError):
    """The tree in the database is of another log than the one that was named."""

    code = "foreign_tree"
