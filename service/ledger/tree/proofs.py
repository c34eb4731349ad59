"""Which hashes show that a leaf, a range or an older tree is in this tree?

Proofs as in RFC 6962, sections 2.1.1 and 2.1.2, over a callback that knows the perfect subtrees.
Invariant: which nodes are asked for depends on the numbers alone, never on a hash, so a caller may
ask twice: once to learn what it needs, once with the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from service.ledger.tree.errors import OutOfTree
from service.ledger.tree.peaks import root_of

# Answers with the root of the perfect subtree `idx` of 2^level leaves; level 0 are the leaves.
# Asked only for subtrees that lie within the size.
NodeSource = Callable[[int, int], bytes]


def aligned(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield `(level, idx)` of the largest perfect subtrees that make up the leaves of the range.

    >>> list(aligned(0, 7))
    [(2, 0), (1, 2), (0, 6)]
    >>> list(aligned(3, 8))
    [(0, 3), (2, 1)]
    """
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield level, begin >> level
        begin += 1 << level


def inclusion_path(node: NodeSource, idx: int, size: int) -> list[bytes]:
    """Return the audit path of leaf `idx` in the tree of `size` leaves, from the leaf up.

    Raises `OutOfTree` unless 0 <= idx < size.
    """
    if not 0 <= idx < size:
        raise OutOfTree("the tree has no leaf of this number")
    path = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if idx < middle:
            path.append(_range_root(node, middle, end))
            end = middle
        else:
            path.append(_range_root(node, begin, middle))
            begin = middle
    return path[::-1]


def consistency_path(node: NodeSource, first: int, second: int) -> list[bytes]:
    """Return the proof that the tree of `first` leaves is the beginning of that of `second`.

    Empty when `first` is 0 or `second`. Raises `OutOfTree` unless 0 <= first <= second.
    """
    if not 0 <= first <= second:
        raise OutOfTree("the tree has no beginning of this size")
    if first in (0, second):
        return []
    path = []
    begin, end = 0, second
    while end != first:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append(_range_root(node, middle, end))
            end = middle
        else:
            path.append(_range_root(node, begin, middle))
            begin = middle
    if begin:
        # Otherwise the old tree is a subtree of this one, and its root is known to the verifier.
        path.append(_range_root(node, begin, end))
    return path[::-1]


def range_path(
    node: NodeSource, first: int, last: int, size: int
) -> tuple[list[bytes], list[bytes]]:
    """Return what stands left and right of the leaves [first, last) in the tree of `size`.

    Left are the peaks of the tree of `first` leaves, right the aligned subtrees that make up the
    leaves [last, size), in their order. Raises `OutOfTree` unless 0 <= first <= last <= size.
    """
    if not 0 <= first <= last <= size:
        raise OutOfTree("the tree has no such range")
    return (
        [node(*place) for place in aligned(0, first)],
        [node(*place) for place in aligned(last, size)],
    )


def _split(size: int) -> int:
    """Return the largest power of two that is smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _range_root(node: NodeSource, begin: int, end: int) -> bytes:
    """Return the root over [begin, end), one of the ranges that RFC 6962 splits a tree into."""
    size = end - begin
    if not size & (size - 1):  # all but one or two of a path
        level = size.bit_length() - 1
        return node(level, begin >> level)
    return root_of([node(*place) for place in aligned(begin, end)])
