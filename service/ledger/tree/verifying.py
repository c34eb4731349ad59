"""Does a proof show what it claims?

The algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2, and the range proof of `range_path`.
Invariant: nothing but the arguments is consulted, nothing about them is taken for granted, and
whatever does not fit exactly raises `ProofInvalid`. A root must come from a checkpoint that was
verified; a proof against any other root shows nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

from service.ledger.tree.errors import ProofInvalid
from service.ledger.tree.hashes import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, node_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.proofs import aligned


def verify_inclusion(leaf: bytes, idx: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise `ProofInvalid` unless `leaf` is leaf number `idx` of the tree."""
    _check_numbers(idx, size)
    if idx == size:
        raise ProofInvalid(f"a tree of {size} leaves has no leaf {idx}")
    _check_hashes((leaf, root, *path))
    place, last, found = idx, size - 1, leaf
    for side in path:
        if not last:
            raise ProofInvalid("the path is too long")
        if place & 1 or place == last:
            found = node_hash(side, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = node_hash(found, side)
        place >>= 1
        last >>= 1
    if last:
        raise ProofInvalid("the path is too short")
    _check_root(found, root)


def verify_consistency(
    first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]
) -> None:
    """Raise `ProofInvalid` unless the first tree is the beginning of the second."""
    _check_numbers(first, second)
    _check_hashes((first_root, second_root, *path))
    for size, root in ((first, first_root), (second, second_root)):
        if not size:
            _check_root(EMPTY_ROOT, root)
    if first in (0, second):
        if path:
            raise ProofInvalid("the path is too long")
        if first:
            _check_root(first_root, second_root)
        return
    # A perfect first tree is a subtree of the second, and its root is not sent.
    is_perfect = not first & (first - 1)
    old, new = _two_roots(first, second, [first_root, *path] if is_perfect else path)
    _check_root(old, first_root)
    _check_root(new, second_root)


def _two_roots(first: int, second: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the roots of both trees that a complete consistency path leads to."""
    if not path:
        raise ProofInvalid("the path is too short")
    place, last = first - 1, second - 1
    while place & 1:
        place >>= 1
        last >>= 1
    old = new = path[0]
    for side in path[1:]:
        if not last:
            raise ProofInvalid("the path is too long")
        if place & 1 or place == last:
            old, new = node_hash(side, old), node_hash(side, new)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            new = node_hash(new, side)
        place >>= 1
        last >>= 1
    if last:
        raise ProofInvalid("the path is too short")
    return old, new


def verify_range(
    first: int,
    leaves: Iterable[bytes],
    size: int,
    left: Sequence[bytes],
    right: Sequence[bytes],
    root: bytes,
) -> None:
    """Raise `ProofInvalid` unless these are the leaves from number `first` on, none left out.

    The leaves are read once, in constant memory.
    """
    _check_numbers(first, size)
    _check_hashes((root, *left, *right))
    if len(left) != first.bit_count():
        raise ProofInvalid("the left side does not fit the first number")
    tree = Peaks(first, left)
    tree.extend(_within(leaves, size - first))
    places = list(aligned(tree.size, size))
    if len(right) != len(places):
        raise ProofInvalid("the right side does not fit the number of leaves")
    for (level, _), subtree in zip(places, right, strict=True):
        tree.append_subtree(level, subtree)
    _check_root(tree.root(), root)


def _within(leaves: Iterable[bytes], room: int) -> Iterable[bytes]:
    for number, leaf in enumerate(leaves):
        if number >= room:
            raise ProofInvalid("there are more leaves than the tree has")
        _check_hashes((leaf,))
        yield leaf


def _check_numbers(first: int, second: int) -> None:
    for number in (first, second):
        if type(number) is not int or not 0 <= number <= MAX_SIZE:
            raise ProofInvalid("an index or a size is no number that a tree can have")
    if first > second:
        raise ProofInvalid(f"{first} lies beyond a tree of {second} leaves")


def _check_hashes(hashes: Iterable[bytes]) -> None:
    for value in hashes:
        if type(value) is not bytes or len(value) != HASH_BYTES:
            raise ProofInvalid("a hash does not have 32 bytes")


def _check_root(found: bytes, root: bytes) -> None:
    if not hmac.compare_digest(found, root):
        raise ProofInvalid("the root is another one")
