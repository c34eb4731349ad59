"""Is an IP address in a list of addresses and networks?

The list is a text file: one address, network (CIDR) or AS number a line; `#` begins a comment. In
Tor's own list the lines `ExitAddress 192.0.2.1 2026-11-22 …` count, the others are skipped.
Invariant: frozen; a look-up is one bisection and never raises.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network

_ASN = re.compile(r"(?:AS)?([0-9]{1,10})\Z", re.IGNORECASE)
_TOR_KEYS = ("ExitNode", "Published", "LastStatus")


@dataclass(frozen=True, slots=True)
class AddressSet:
    """Addresses and networks, and the autonomous systems that the same list names."""

    starts: tuple[tuple[int, ...], tuple[int, ...]]
    ends: tuple[tuple[int, ...], tuple[int, ...]]
    asns: frozenset[int]

    @classmethod
    def read(cls, lines: Iterable[str]) -> AddressSet:
        """Read a list; raise ValueError naming the first line that is none of the forms.

        >>> cloud = AddressSet.read(["# ours", "203.0.113.0/24", "2001:db8::/32", "AS64500"])
        >>> cloud.holds("203.0.113.9"), cloud.holds("198.51.100.7"), cloud.holds("2001:db8::1")
        (True, False, True)
        """
        four: list[IPv4Network] = []
        six: list[IPv6Network] = []
        asns: set[int] = set()
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words or words[0] in _TOR_KEYS:
                continue
            text = words[1] if words[0] == "ExitAddress" and len(words) > 1 else words[0]
            named = _ASN.match(text)
            if named:
                asns.add(int(named[1]))
                continue
            try:
                network = ip_network(text, strict=False)
            except ValueError:
                raise ValueError(f"line {number} is no address, network or AS number") from None
            if isinstance(network, IPv4Network):
                four.append(network)
            else:
                six.append(network)
        ranges = [
            [(int(net[0]), int(net[-1])) for net in sorted(collapse_addresses(four))],
            [(int(net[0]), int(net[-1])) for net in sorted(collapse_addresses(six))],
        ]
        starts4, starts6 = (tuple(start for start, _ in rows) for rows in ranges)
        ends4, ends6 = (tuple(end for _, end in rows) for rows in ranges)
        return cls((starts4, starts6), (ends4, ends6), frozenset(asns))

    def holds(self, ip: str) -> bool:
        """Say whether an address is in the list; a text that is no address is in none."""
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        family = 0 if address.version == 4 else 1
        place = bisect_right(self.starts[family], int(address)) - 1
        return place >= 0 and int(address) <= self.ends[family][place]
