"""How is a table of networks written as an MMDB file?

The MaxMind DB file format 2.0: a binary tree over the bits of an address, then each record once,
then what the file says about itself. IPv4 networks lie under ::/96, where every reader looks.
Invariant: equal tables give equal bytes; of networks that overlap the one added last counts.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

Network = IPv4Network | IPv6Network
Record = Mapping[str, Any]

_IPV4_DEPTH = 96
_SEPARATOR = bytes(16)
_MARKER = b"\xab\xcd\xefMaxMind.com"
_STRING, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY, _BOOLEAN = 2, 5, 6, 7, 9, 11, 14
_FIRST_EXTENDED = 8  # types from here on have a byte of their own
# Sizes from the first number on are written as the difference to it, in so many bytes more.
_LONG_SIZES = ((65821, 31, 3), (285, 30, 2), (29, 29, 1))


class MmdbWriter:
    """Collects networks and their records, and gives the file."""

    def __init__(self) -> None:
        # A branch is the number of a node, 0 for nothing (no branch leads to the root), or below 0
        # for a record, counted from 1.
        self._zero = array("i", [0])
        self._one = array("i", [0])
        self._records: list[Record] = []
        self._numbers: dict[str, int] = {}
        self._ipv4_root = self._node(0, 0, _IPV4_DEPTH, 128)

    def add(self, network: Network, record: Record) -> None:
        """Let every address of a network have this record; raise ValueError for all of IPv4."""
        key = repr(record)
        number = self._numbers.get(key)
        if number is None:
            self._records.append(record)
            number = self._numbers[key] = len(self._records)
        first, length = int(network.network_address), network.prefixlen
        bits, root = (32, self._ipv4_root) if network.version == 4 else (128, 0)
        if not length or (bits == 128 and not first and length <= _IPV4_DEPTH):
            raise ValueError(f"{network} covers every IPv4 address")
        node = self._node(root, first, length - 1, bits)
        side = self._one if first >> (bits - length) & 1 else self._zero
        side[node] = -number

    def write(self, *, kind: str, built: int) -> bytes:
        """Give the file; `built` is in seconds since 1970, above 0: libmaxminddb refuses 0."""
        data = bytearray()
        offsets = []
        for record in self._records:
            offsets.append(len(data))
            data += _encoded(record)
        count = len(self._zero)
        tree = array("I", bytes(8 * count))
        for place, branches in enumerate((self._zero, self._one)):
            tree[place::2] = array(
                "I",
                [
                    branch or count if branch >= 0 else count + 16 + offsets[-branch - 1]
                    for branch in branches
                ],
            )
        if sys.byteorder == "little":
            tree.byteswap()
        about = _map(
            {
                "binary_format_major_version": _number(_UINT16, 2),
                "binary_format_minor_version": _number(_UINT16, 0),
                "build_epoch": _number(_UINT64, built),
                "database_type": _encoded(kind),
                "description": _encoded({"en": kind}),
                "ip_version": _number(_UINT16, 6),
                "languages": _control(_ARRAY, 1) + _encoded("en"),
                "node_count": _number(_UINT32, count),
                "record_size": _number(_UINT16, 32),
            }
        )
        return tree.tobytes() + _SEPARATOR + bytes(data) + _MARKER + about

    def _node(self, start: int, value: int, length: int, bits: int) -> int:
        """Give the node that the first `length` bits lead to, making those that are missing."""
        node = start
        for depth in range(bits - 1, bits - 1 - length, -1):
            side = self._one if value >> depth & 1 else self._zero
            following = side[node]
            if following <= 0:  # what the branch held, both halves of it hold
                self._zero.append(following)
                self._one.append(following)
                following = side[node] = len(self._zero) - 1
            node = following
        return node


def write_mmdb(rows: Iterable[tuple[Network, Record]], *, kind: str, built: int) -> bytes:
    """Give the file of a table at once.

    >>> len(write_mmdb([(IPv4Network("192.0.2.0/24"), {"country_code": "CN"})], kind="x", built=1))
    1171
    """
    writer = MmdbWriter()
    for network, record in rows:
        writer.add(network, record)
    return writer.write(kind=kind, built=built)


def _encoded(value: object) -> bytes:
    if isinstance(value, bool):
        return _control(_BOOLEAN, int(value))
    if isinstance(value, int):
        return _number(_UINT32, value)
    if isinstance(value, str):
        text = value.encode()
        return _control(_STRING, len(text)) + text
    if isinstance(value, Mapping):
        return _map({key: _encoded(inner) for key, inner in value.items()})
    raise TypeError(f"no record holds a {type(value).__name__}")


def _map(members: Mapping[str, bytes]) -> bytes:
    pairs = b"".join([_encoded(key) + member for key, member in members.items()])
    return _control(_MAP, len(members)) + pairs


def _number(kind: int, value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(kind, len(digits)) + digits


def _control(kind: int, size: int) -> bytes:
    short, more = size, b""
    for least, code, length in _LONG_SIZES:
        if size >= least:
            short, more = code, (size - least).to_bytes(length, "big")
            break
    if kind < _FIRST_EXTENDED:
        return bytes([kind << 5 | short]) + more
    return bytes([short, kind - 7]) + more
