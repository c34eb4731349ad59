"""How does a tree grow without being kept?

The peaks are the roots of the perfect subtrees that a size is made of, the largest first: one for
each bit of the size. They are all that is needed to append and to say the root. Invariant: the
number of peaks is the number of bits that are set in `size`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from service.ledger.tree.errors import TreeBroken
from service.ledger.tree.hashes import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, node_hash

ABOVE_EVERY_LEVEL = 64


class Node(NamedTuple):
    """A perfect subtree: number `idx` of those with 2^level leaves, from the left."""

    level: int
    idx: int
    hash: bytes


class Peaks:
    """The tree over `size` leaves, as its peaks.

    >>> from service.ledger.tree.hashes import leaf_hash
    >>> peaks = Peaks()
    >>> peaks.extend([leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")])
    []
    >>> peaks.size, len(peaks.hashes)
    (3, 2)
    >>> Peaks.from_bytes(3, peaks.to_bytes()).root() == peaks.root()
    True
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Raise `TreeBroken` when these cannot be the peaks of a tree of that size."""
        if not 0 <= size <= MAX_SIZE:
            raise TreeBroken("no tree has such a size")
        if len(hashes) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in hashes):
            raise TreeBroken(f"these are not the peaks of a tree of {size} leaves")
        self.size = size
        self._hashes = list(hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Peaks:
        """Read what `to_bytes` wrote; raises `TreeBroken` when it is not of that size."""
        return cls(size, [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)])

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The peaks, the largest subtree first."""
        return tuple(self._hashes)

    def to_bytes(self) -> bytes:
        """Return the peaks one after the other, 32 bytes each."""
        return b"".join(self._hashes)

    def copy(self) -> Peaks:
        """Return a tree of its own with the same leaves."""
        return Peaks(self.size, self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf (its hash)."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes], noted_from: int = ABOVE_EVERY_LEVEL) -> list[Node]:
        """Add leaves (their hashes); return the subtrees from level `noted_from` on they completed.

        About 1 µs a leaf.
        """
        noted: list[Node] = []
        hashes, size = self._hashes, self.size
        for peak in leaves:
            level, below = 0, size
            while below & 1:
                peak = node_hash(hashes.pop(), peak)
                below >>= 1
                level += 1
                if level >= noted_from:
                    noted.append(Node(level, below, peak))
            hashes.append(peak)
            size += 1
        self.size = size
        return noted

    def append_subtree(self, level: int, subtree: bytes) -> None:
        """Add a perfect subtree of 2^level leaves by its root.

        Raises `TreeBroken` when it cannot stand there: the size is no multiple of its leaves.
        """
        if self.size & ((1 << level) - 1) or self.size + (1 << level) > MAX_SIZE:
            raise TreeBroken(f"no subtree of level {level} can begin at leaf {self.size}")
        below = self.size >> level
        while below & 1:
            subtree = node_hash(self._hashes.pop(), subtree)
            below >>= 1
        self._hashes.append(subtree)
        self.size += 1 << level

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        return root_of(self._hashes)


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over subtrees of falling size, as of peaks."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for peak in reversed(hashes[:-1]):
        root = node_hash(peak, root)
    return root
