"""What can go wrong with the tree?

No text here repeats a number of the caller: one of 5,000 digits would itself be an error.
"""

from __future__ import annotations

from service.ledger.errors import LedgerError


class ProofInvalid(LedgerError):
    """The proof does not show what it claims; nothing of it may be believed."""

    code = "proof_invalid"


class TreeBroken(LedgerError):
    """The stored tree lacks a part that its size says is there, or a part has a wrong form."""

    code = "tree_broken"


class OutOfTree(LedgerError):
    """An index or a size was asked for that the tree does not have."""

    code = "out_of_tree"
