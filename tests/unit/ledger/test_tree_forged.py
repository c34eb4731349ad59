"""Negative vectors: whatever is changed about a proof, it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.ledger.tree.errors import ProofInvalid
from service.ledger.tree.hashes import EMPTY_ROOT, MAX_SIZE, leaf_hash, node_hash
from service.ledger.tree.proofs import consistency_path, inclusion_path, range_path
from service.ledger.tree.verifying import verify_consistency, verify_inclusion, verify_range
from tests.oracles.naive_tree import NaiveTree

MOST = 33
HUGE = (MAX_SIZE + 1, 2**64, 2**100_000, -1, -(2**64))
NO_NUMBERS: tuple[Any, ...] = (None, "3", 3.0, True, b"3")
NO_HASHES: tuple[Any, ...] = (b"", b"x" * 31, b"x" * 33, None, "x" * 32, bytearray(32))

leaves = [leaf_hash(b"%d" % number) for number in range(MOST)]
tree = NaiveTree(leaves)
roots = [tree.root(0, size) for size in range(MOST + 1)]


def inclusions() -> Iterator[tuple[int, int, list[bytes]]]:
    """Every inclusion proof of the small trees."""
    for size in range(1, MOST + 1):
        for idx in range(size):
            yield idx, size, inclusion_path(tree.node, idx, size)


def consistencies() -> Iterator[tuple[int, int, list[bytes]]]:
    """Every consistency proof of the small trees that shows something."""
    for second in range(1, MOST + 1):
        for first in range(1, second + 1):
            yield first, second, consistency_path(tree.node, first, second)


def changed(path: list[bytes]) -> Iterator[list[bytes]]:
    """The path with a bit flipped, cut, longer, in another order, with a hash of another form."""
    for place, value in enumerate(path):
        for bit in (0, 100, 255):
            yield [*path[:place], flipped(value, bit), *path[place + 1 :]]
        yield path[:place] + path[place + 1 :]
        yield [*path[:place], value, *path[place:]]
        yield [*path[:place], value[:-1], *path[place + 1 :]]
        yield [*path[:place], value + b"\0", *path[place + 1 :]]
        if path[place + 1 : place + 2] not in ([], [value]):
            yield [*path[:place], path[place + 1], value, *path[place + 2 :]]
    yield [*path, leaves[0]]
    yield [*path, EMPTY_ROOT]
    yield [leaves[0], *path]


def flipped(value: bytes, bit: int) -> bytes:
    """The value with one bit turned over."""
    return (int.from_bytes(value) ^ 1 << bit).to_bytes(len(value))


def refused(verify: Callable[..., None], *arguments: object) -> None:
    """The verifier says no, and in the way it promises."""
    with pytest.raises(ProofInvalid):
        verify(*arguments)


def test_changed_inclusion_paths_are_refused() -> None:
    """No change of a path, leaf, index or root of any tree of up to 33 leaves is accepted."""
    for idx, size, path in inclusions():
        good = (leaves[idx], idx, size, path, roots[size])
        verify_inclusion(*good)
        for other in changed(path):
            refused(verify_inclusion, leaves[idx], idx, size, other, roots[size])
        for other_idx in {*range(size + 1), *HUGE} - {idx}:
            refused(verify_inclusion, leaves[idx], other_idx, size, path, roots[size])
        refused(verify_inclusion, flipped(leaves[idx], 7), *good[1:])
        refused(verify_inclusion, *good[:4], flipped(roots[size], 7))
        refused(verify_inclusion, *good[:4], roots[size - 1])


def test_an_inner_node_is_no_leaf_of_the_same_tree() -> None:
    """A subtree's root with the path above it is refused as an entry: the path is too short."""
    inner = node_hash(leaves[2], leaves[3])
    path = inclusion_path(tree.node, 2, 8)[1:]
    for idx in range(8):
        refused(verify_inclusion, inner, idx, 8, path, roots[8])
    # At half the size it would fit: a size is believed only from the checkpoint that has the root.
    verify_inclusion(inner, 1, 4, path, roots[8])


def test_changed_consistency_paths_are_refused() -> None:
    """No change of a path, size or root between trees of up to 33 leaves is accepted."""
    for first, second, path in consistencies():
        good = (first, roots[first], second, roots[second], path)
        verify_consistency(*good)
        for other in changed(path):
            refused(verify_consistency, *good[:4], other)
        refused(verify_consistency, first, flipped(roots[first], 7), *good[2:])
        refused(verify_consistency, *good[:3], flipped(roots[second], 7), path)
        if first != second:
            refused(verify_consistency, first, roots[second], second, roots[first], path)
            refused(verify_consistency, second, roots[second], first, roots[first], path)
        for other_first in {*range(second + 1), *HUGE} - {first}:
            refused(verify_consistency, other_first, *good[1:])


def test_a_rewritten_past_is_refused() -> None:
    """A tree in which an old leaf was exchanged is no successor, whatever proof comes with it."""
    for changed_idx in range(6):
        forged = NaiveTree([*leaves[:changed_idx], leaves[20], *leaves[changed_idx + 1 :]])
        for path in (consistency_path(tree.node, 6, 11), consistency_path(forged.node, 6, 11)):
            refused(verify_consistency, 6, roots[6], 11, forged.root(0, 11), path)


def test_changed_ranges_are_refused() -> None:
    """A range is refused with any hash beside it, any leaf in it or any number changed."""
    for first, last, size in ((0, 7, 7), (0, 1, 21), (3, 9, 21), (5, 21, 21), (8, 16, 33)):
        inside = leaves[first:last]
        left, right = range_path(tree.node, first, last, size)
        for other in changed(left):
            refused(verify_range, first, inside, size, other, right, roots[size])
        for other in changed(right):
            refused(verify_range, first, inside, size, left, other, roots[size])
        for other in changed(inside):
            refused(verify_range, first, other, size, left, right, roots[size])
        if left != right:
            refused(verify_range, first, inside, size, right, left, roots[size])
        for other_first in {*range(size + 1), *HUGE} - {first}:
            refused(verify_range, other_first, inside, size, left, right, roots[size])
        for other_size in (size - 1, *HUGE):
            refused(verify_range, first, inside, other_size, left, right, roots[size])


def test_more_leaves_than_the_tree_has_are_refused_at_once() -> None:
    """A range without an end is given up at the size of the tree."""

    def endless() -> Iterator[bytes]:
        yield from leaves
        raise AssertionError("read beyond the tree")

    refused(verify_range, 0, endless(), 20, [], [], roots[20])


@pytest.mark.parametrize("number", [*HUGE, *NO_NUMBERS], ids=range(10))
def test_sizes_that_no_tree_has_are_refused(number: object) -> None:
    """Huge and negative sizes, and things that are no number, are refused without being tried."""
    path = inclusion_path(tree.node, 3, 8)
    refused(verify_inclusion, leaves[3], 3, number, path, roots[8])
    refused(verify_inclusion, leaves[3], number, 8, path, roots[8])
    refused(verify_consistency, number, roots[3], 8, roots[8], path)
    refused(verify_consistency, 3, roots[3], number, roots[8], path)
    refused(verify_range, number, leaves[:8], 8, [], [], roots[8])
    refused(verify_range, 0, leaves[:8], number, [], [], roots[8])


@pytest.mark.parametrize("value", NO_HASHES)
def test_hashes_of_another_form_are_refused(value: bytes) -> None:
    """Anything but 32 bytes is no hash, as leaf, as root and as part of a proof."""
    path = inclusion_path(tree.node, 3, 8)
    refused(verify_inclusion, value, 3, 8, path, roots[8])
    refused(verify_inclusion, leaves[3], 3, 8, path, value)
    refused(verify_inclusion, leaves[3], 3, 8, [value, *path[1:]], roots[8])
    refused(verify_consistency, 0, value, 8, roots[8], [])
    refused(verify_consistency, 8, roots[8], 8, value, [])
    refused(verify_range, 0, [value], 8, [], [], roots[8])
    refused(verify_range, 0, leaves[:8], 8, [], [], value)


def test_the_empty_tree_proves_nothing() -> None:
    """No leaf is in the empty tree, and it follows no tree that had one."""
    refused(verify_inclusion, leaves[0], 0, 0, [], EMPTY_ROOT)
    refused(verify_consistency, 1, roots[1], 0, EMPTY_ROOT, [])
    refused(verify_consistency, 0, EMPTY_ROOT, 0, roots[1], [])
    refused(verify_consistency, 0, EMPTY_ROOT, 5, roots[5], [leaves[0]])
    refused(verify_consistency, 5, roots[5], 5, roots[5], [leaves[0]])
