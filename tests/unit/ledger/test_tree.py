"""The tree by known answers: RFC 6962's reference vectors, and what numbers it refuses."""

from __future__ import annotations

import pytest

from service.ledger.tree.errors import OutOfTree, ProofInvalid, TreeBroken
from service.ledger.tree.hashes import EMPTY_ROOT, MAX_SIZE, leaf_hash, node_hash
from service.ledger.tree.peaks import Node, Peaks
from service.ledger.tree.proofs import consistency_path, inclusion_path, range_path
from service.ledger.tree.verifying import verify_consistency, verify_inclusion, verify_range
from tests.oracles.naive_tree import NaiveTree

# The vectors of Certificate Transparency's reference implementation (transparency-dev/merkle,
# testonly): leaves, the roots over the first n of them, and proofs.
INPUTS = (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)  # fmt: skip
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
N = {
    "0": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "1": "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "4": "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "0-1": "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "2-3": "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "4-5": "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "6-7": "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "0-3": "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4-7": "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
}
INCLUSIONS = [
    (0, 1, []),
    (0, 2, ["1"]),
    (1, 2, ["0"]),
    (2, 3, ["0-1"]),
    (1, 5, ["0", "2-3", "4"]),
    (0, 8, ["1", "2-3", "4-7"]),
    (5, 8, ["4", "6-7", "0-3"]),
]
CONSISTENCIES = [
    (1, 1, []),
    (1, 8, ["1", "2-3", "4-7"]),
    (2, 5, ["2-3", "4"]),
    (6, 8, ["4-5", "6-7", "0-3"]),
]

leaves = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
roots = [bytes.fromhex(text) for text in ROOTS]
tree = NaiveTree(leaves)


def test_roots_are_those_of_the_reference() -> None:
    """The roots over zero to eight leaves are the published ones, in one piece and leaf by leaf."""
    grown = Peaks()
    for size, root in enumerate(roots):
        assert grown.root() == root
        whole = Peaks()
        whole.extend(leaves[:size])
        assert whole.root() == root
        if size < len(leaves):
            grown.append(leaves[size])


@pytest.mark.parametrize(("idx", "size", "path"), INCLUSIONS)
def test_inclusion_is_that_of_the_reference(idx: int, size: int, path: list[str]) -> None:
    """The published inclusion proofs are made and accepted."""
    expected = [bytes.fromhex(N[name]) for name in path]
    assert inclusion_path(tree.node, idx, size) == expected
    verify_inclusion(leaves[idx], idx, size, expected, roots[size])


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCIES)
def test_consistency_is_that_of_the_reference(first: int, second: int, path: list[str]) -> None:
    """The published consistency proofs are made and accepted."""
    expected = [bytes.fromhex(N[name]) for name in path]
    assert consistency_path(tree.node, first, second) == expected
    verify_consistency(first, roots[first], second, roots[second], expected)


def test_the_empty_tree_is_the_beginning_of_every_tree() -> None:
    """From size 0 nothing has to be shown but that its root is the hash of nothing."""
    for size, root in enumerate(roots):
        assert consistency_path(tree.node, 0, size) == []
        verify_consistency(0, EMPTY_ROOT, size, root, [])
        with pytest.raises(ProofInvalid):
            verify_consistency(0, roots[1], size, root, [])


def test_a_leaf_is_no_node() -> None:
    """The two children of a node, presented as one entry, hash to something else."""
    assert leaf_hash(leaves[0] + leaves[1]) != node_hash(leaves[0], leaves[1])


def test_completed_subtrees_are_noted() -> None:
    """Growing by any steps notes each perfect subtree of the wanted levels once, with its root."""
    many = [leaf_hash(b"%d" % number) for number in range(37)]
    naive = NaiveTree(many)
    for step in (1, 2, 5, 37):
        grown, noted = Peaks(), []
        for begin in range(0, len(many), step):
            noted += grown.extend(many[begin : begin + step], noted_from=2)
        expected = {(level, idx) for level in (2, 3, 4, 5) for idx in range(len(many) >> level)}
        assert {(node.level, node.idx) for node in noted} == expected
        assert len(noted) == len(expected)
        assert all(node == Node(*node[:2], naive.node(*node[:2])) for node in noted)


def test_a_copy_grows_alone() -> None:
    """Appending to a copy leaves the tree that it was made of as it is."""
    grown = Peaks(3, [tree.node(1, 0), leaves[2]])
    other = grown.copy()
    other.append(leaves[3])
    assert (grown.size, grown.root(), other.root()) == (3, roots[3], roots[4])


@pytest.mark.parametrize(
    ("size", "data"),
    [
        (0, b"x"), (1, b""), (1, b"x" * 31), (1, b"x" * 33), (1, b"x" * 64), (3, b"x" * 32),
        (3, b"x" * 63), (-1, b""), (MAX_SIZE + 1, b"x" * 32), (2**100_000, b"x" * 32),
    ],
    ids=range(10),
)  # fmt: skip
def test_peaks_of_another_size_are_refused(size: int, data: bytes) -> None:
    """Stored peaks that do not fit their size are an error, never a tree."""
    with pytest.raises(TreeBroken):
        Peaks.from_bytes(size, data)


def test_a_subtree_stands_only_at_a_multiple_of_its_size() -> None:
    """Peaks take no subtree where the tree has no place for it."""
    with pytest.raises(TreeBroken):
        Peaks(3, [tree.node(1, 0), leaves[2]]).append_subtree(1, leaves[0])
    with pytest.raises(TreeBroken):
        Peaks().append_subtree(63, leaves[0])


def test_numbers_outside_the_tree_have_no_proof() -> None:
    """Proofs are made only for numbers that the tree has."""
    for idx, size in ((-1, 3), (3, 3), (4, 3), (0, 0), (2**100_000, 3)):
        with pytest.raises(OutOfTree):
            inclusion_path(tree.node, idx, size)
    for first, second in ((-1, 3), (4, 3)):
        with pytest.raises(OutOfTree):
            consistency_path(tree.node, first, second)
    for first, last, size in ((-1, 2, 3), (2, 1, 3), (0, 4, 3)):
        with pytest.raises(OutOfTree):
            range_path(tree.node, first, last, size)


def test_a_range_may_be_empty_or_everything() -> None:
    """The whole log needs no hash beside it; an empty range proves the root from both sides."""
    assert range_path(tree.node, 0, 8, 8) == ([], [])
    verify_range(0, leaves, 8, [], [], roots[8])
    verify_range(5, [], 8, *range_path(tree.node, 5, 5, 8), roots[8])
    verify_range(0, [], 0, [], [], EMPTY_ROOT)
