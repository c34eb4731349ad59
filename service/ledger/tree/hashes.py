"""What is hashed into the tree?

RFC 6962, section 2.1, with SHA-256. Invariant: a leaf and a node never hash the same bytes, so no
node can be passed off as an entry.
"""

from __future__ import annotations

import hashlib

HASH_BYTES = 32
# A tree of more leaves than a bigint counts is a claim that nobody needs to check.
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(header: bytes) -> bytes:
    """Return the leaf of an entry from the exact bytes of its header.

    >>> leaf_hash(b"").hex()
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'
    """
    return hashlib.sha256(b"\x00" + header).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the root of a tree from the roots of its two sides."""
    return hashlib.sha256(b"\x01" + left + right).digest()
