"""Do any of a hundred thousand byte strings stand in these bytes? Exactly, at memory speed.

Every position of the haystack is looked up by its next eight bytes in a table of hashes; what hits
is compared in full. Invariant: a needle of at least eight bytes that is there is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

PREFIX_BYTES = 8
TABLE_BITS = (18, 26)  # at least, at most
SPARSE = 64  # places in the table for each needle
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio (Fibonacci hashing)


class Needles:
    """Searches for byte strings; each stands for a name.

    >>> needles = Needles({b"a needle here": "first", b"another one": "second"})
    >>> sorted(needles.found_in(b"xx a needle here, and another on"))
    ['first']
    """

    def __init__(self, names: Mapping[bytes, str]) -> None:
        self._by_prefix: dict[bytes, list[bytes]] = {}
        self._names = names
        for needle in names:
            assert len(needle) >= PREFIX_BYTES, needle
            self._by_prefix.setdefault(needle[:PREFIX_BYTES], []).append(needle)
        prefixes = np.frombuffer(b"".join(self._by_prefix), dtype="<u8")
        self._sorted = np.sort(prefixes)
        low, high = TABLE_BITS
        bits = min(max(low, (SPARSE * len(prefixes)).bit_length()), high)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, dtype=bool)
        self._table[(prefixes * _SPREAD) >> self._shift] = True

    def found_in(self, haystack: bytes) -> set[str]:
        """Return the names of the needles that stand in the bytes."""
        return {self._names[needle] for needle in self._found(haystack)}

    def _found(self, haystack: bytes) -> Iterable[bytes]:
        for shift in range(min(PREFIX_BYTES, max(0, len(haystack) - PREFIX_BYTES + 1))):
            count = (len(haystack) - shift) // PREFIX_BYTES
            words = np.frombuffer(haystack, dtype="<u8", count=count, offset=shift)
            hits = np.flatnonzero(self._table[(words * _SPREAD) >> self._shift])
            if not len(hits):
                continue
            places = np.searchsorted(self._sorted, words[hits])
            places[places == len(self._sorted)] = 0
            for hit in hits[self._sorted[places] == words[hits]]:
                at = int(hit) * PREFIX_BYTES + shift
                for needle in self._by_prefix[haystack[at : at + PREFIX_BYTES]]:
                    if haystack.startswith(needle, at):
                        yield needle
