"""Every proof of every tree of up to 1,025 leaves: made as the RFC defines it, and accepted."""

from __future__ import annotations

import pytest

from service.ledger.tree.errors import ProofInvalid
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.proofs import NodeSource, consistency_path, inclusion_path, range_path
from service.ledger.tree.verifying import verify_consistency, verify_inclusion, verify_range
from tests.oracles.naive_tree import NaiveTree

MOST = 1_025
# A range proof has three numbers, so all of them are checked for fewer sizes.
MOST_WITH_RANGES = 48

leaves = [leaf_hash(b"%d" % number) for number in range(MOST)]


@pytest.fixture(scope="module")
def naive() -> NaiveTree:
    """The tree by its definition."""
    return NaiveTree(leaves)


@pytest.fixture(scope="module")
def node(naive: NaiveTree) -> NodeSource:
    """Its perfect subtrees, looked up."""
    nodes = [[naive.node(level, idx) for idx in range(MOST >> level)] for level in range(11)]
    return lambda level, idx: nodes[level][idx]


def test_all_roots(naive: NaiveTree) -> None:
    """Growing leaf by leaf, and being read back, gives the defined root at every size."""
    grown = Peaks()
    for size in range(MOST + 1):
        assert grown.root() == naive.root(0, size)
        assert Peaks.from_bytes(size, grown.to_bytes()).root() == grown.root()
        if size < MOST:
            grown.append(leaves[size])


def test_all_inclusion_proofs(naive: NaiveTree, node: NodeSource) -> None:
    """All 525,825 inclusion proofs are the defined ones, and each is accepted."""
    proved = 0
    for size in range(MOST + 1):
        root = naive.root(0, size)
        for idx in range(size):
            path = inclusion_path(node, idx, size)
            assert path == naive.path(idx, 0, size)
            verify_inclusion(leaves[idx], idx, size, path, root)
            proved += 1
    assert proved == MOST * (MOST + 1) // 2


def test_all_consistency_proofs(naive: NaiveTree, node: NodeSource) -> None:
    """All 526,851 consistency proofs are the defined ones, and each is accepted."""
    roots = [naive.root(0, size) for size in range(MOST + 1)]
    proved = 0
    for second in range(MOST + 1):
        for first in range(second + 1):
            path = consistency_path(node, first, second)
            assert path == (naive.proof(first, second) if first else [])
            verify_consistency(first, roots[first], second, roots[second], path)
            proved += 1
    assert proved == (MOST + 1) * (MOST + 2) // 2


def test_all_ranges_of_small_trees(naive: NaiveTree) -> None:
    """Every range of every tree of up to 48 leaves is proved, and no other range with its hashes.

    The same leaves one place further left or right, with one more or one fewer, are refused.
    """
    for size in range(MOST_WITH_RANGES + 1):
        root = naive.root(0, size)
        for first in range(size + 1):
            for last in range(first, size + 1):
                sides = range_path(naive.node, first, last, size)
                verify_range(first, iter(leaves[first:last]), size, *sides, root)
                others = [(first, last - 1), (first, last + 1)]
                if first < last:
                    others += [(first + 1, last), (first - 1, last)]
                for begin, end in others:
                    if 0 <= begin <= end <= size:
                        with pytest.raises(ProofInvalid):
                            verify_range(first, leaves[begin:end], size, *sides, root)
