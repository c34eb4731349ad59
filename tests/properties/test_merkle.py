"""The tree, for any leaves and any sizes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.tree.errors import ProofInvalid
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.proofs import aligned, consistency_path, inclusion_path, range_path
from service.ledger.tree.verifying import verify_consistency, verify_inclusion, verify_range
from tests.oracles.naive_tree import NaiveTree

# Equal leaves among them: entries differ, but no proof may rest on that.
leaf = st.integers(0, 40).map(lambda number: hashlib.sha256(b"%d" % number).digest())
leaves = st.lists(leaf, min_size=1, max_size=300)


@given(leaves, st.data())
def test_growing_in_any_steps_gives_the_defined_tree(
    all_leaves: list[bytes], data: st.DataObject
) -> None:
    """Leaves added in pieces of any size lead to the same peaks and root as the definition."""
    grown, naive = Peaks(), NaiveTree(all_leaves)
    while grown.size < len(all_leaves):
        step = data.draw(st.integers(1, len(all_leaves) - grown.size))
        for node in grown.extend(all_leaves[grown.size : grown.size + step], noted_from=1):
            assert node.hash == naive.node(node.level, node.idx)
        assert grown.root() == naive.root(0, grown.size)
        assert list(grown.hashes) == [naive.node(*place) for place in aligned(0, grown.size)]


@given(leaves, st.data())
def test_three_points_of_a_log_agree(all_leaves: list[bytes], data: st.DataObject) -> None:
    """Any range, its leaves one by one, and the older trees at its ends are all proved at once."""
    size = len(all_leaves)
    first = data.draw(st.integers(0, size))
    last = data.draw(st.integers(first, size))
    naive = NaiveTree(all_leaves)
    root = naive.root(0, size)
    verify_range(
        first, all_leaves[first:last], size, *range_path(naive.node, first, last, size), root
    )
    for idx in {first, last, (first + last) // 2} - {size}:
        verify_inclusion(all_leaves[idx], idx, size, inclusion_path(naive.node, idx, size), root)
    for old in (first, last):
        path = consistency_path(naive.node, old, size)
        verify_consistency(old, naive.root(0, old), size, root, path)


@given(leaves, st.data())
def test_another_log_with_the_same_end_is_refused(
    all_leaves: list[bytes], data: st.DataObject
) -> None:
    """With one leaf exchanged no honest proof of either log leads from the one to the other."""
    size = len(all_leaves)
    at = data.draw(st.integers(0, size - 1))
    forged_leaves = [*all_leaves[:at], hashlib.sha256(b"forged").digest(), *all_leaves[at + 1 :]]
    honest, forged = NaiveTree(all_leaves), NaiveTree(forged_leaves)
    root, forged_root = honest.root(0, size), forged.root(0, size)
    assert root != forged_root
    with pytest.raises(ProofInvalid):
        verify_inclusion(forged_leaves[at], at, size, inclusion_path(forged.node, at, size), root)
    old = data.draw(st.integers(at + 1, size))
    path = consistency_path(forged.node, old, size)
    with pytest.raises(ProofInvalid):
        verify_consistency(old, honest.root(0, old), size, forged_root, path)
    first = data.draw(st.integers(0, at))
    last = data.draw(st.integers(at + 1, size))
    sides = range_path(honest.node, first, last, size)
    with pytest.raises(ProofInvalid):
        verify_range(first, forged_leaves[first:last], size, *sides, root)


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_aligned_subtrees_tile_the_range(begin: int, end: int) -> None:
    """The perfect subtrees of a range follow one another from its beginning to its end."""
    at = begin
    for level, idx in aligned(begin, end):
        assert idx << level == at
        at += 1 << level
    assert at == max(begin, end)
