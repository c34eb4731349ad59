"""What the tree must be, by the definitions of RFC 6962, sections 2.1 to 2.1.2, word for word.

Recursive, over the list of all leaves. Only the hash of a range is remembered, so that all proofs
of a thousand sizes take seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


class NaiveTree:
    """A tree over leaf hashes; `D[begin:end]` is named by its two ends."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = list(leaves)
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, begin: int, end: int) -> bytes:
        """MTH(D[begin:end])."""
        if begin == end:
            return hashlib.sha256().digest()
        if end - begin == 1:
            return self.leaves[begin]
        if (begin, end) not in self._known:
            middle = begin + split(end - begin)
            sides = self.root(begin, middle) + self.root(middle, end)
            self._known[begin, end] = hashlib.sha256(b"\x01" + sides).digest()
        return self._known[begin, end]

    def node(self, level: int, idx: int) -> bytes:
        """The perfect subtree number `idx` of 2^level leaves."""
        return self.root(idx << level, (idx + 1) << level)

    def path(self, m: int, begin: int, end: int) -> list[bytes]:
        """PATH(m, D[begin:end])."""
        if end - begin == 1:
            return []
        k = split(end - begin)
        if m < k:
            return [*self.path(m, begin, begin + k), self.root(begin + k, end)]
        return [*self.path(m - k, begin + k, end), self.root(begin, begin + k)]

    def proof(self, m: int, n: int) -> list[bytes]:
        """PROOF(m, D[n]), for 0 < m <= n."""
        return self._subproof(m, 0, n, is_whole=True)

    def _subproof(self, m: int, begin: int, end: int, *, is_whole: bool) -> list[bytes]:
        n = end - begin
        if m == n:
            return [] if is_whole else [self.root(begin, end)]
        k = split(n)
        if m <= k:
            sub = self._subproof(m, begin, begin + k, is_whole=is_whole)
            return [*sub, self.root(begin + k, end)]
        sub = self._subproof(m - k, begin + k, end, is_whole=False)
        return [*sub, self.root(begin, begin + k)]


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k
