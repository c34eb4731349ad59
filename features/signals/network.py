"""What kind of address is this IP?

Classes are those of the IANA special-purpose registries (RFC 6890 and its updates), kept here as
tables, because what Python's `ipaddress` calls global differs between its versions.
Invariant: every address has exactly one class.
"""

from __future__ import annotations

from bisect import bisect_right
from ipaddress import IPv6Address

# First address of each range and its class, up to the next row.
_V4: tuple[tuple[int, str], ...] = (
    (0x00000000, "reserved"),  # 0.0.0.0/8
    (0x01000000, "public"),
    (0x0A000000, "private"),  # 10.0.0.0/8
    (0x0B000000, "public"),
    (0x64400000, "shared"),  # 100.64.0.0/10, behind a carrier's NAT
    (0x64800000, "public"),
    (0x7F000000, "loopback"),  # 127.0.0.0/8
    (0x80000000, "public"),
    (0xA9FE0000, "link_local"),  # 169.254.0.0/16
    (0xA9FF0000, "public"),
    (0xAC100000, "private"),  # 172.16.0.0/12
    (0xAC200000, "public"),
    (0xC0000000, "reserved"),  # 192.0.0.0/24
    (0xC0000100, "public"),
    (0xC0000200, "documentation"),  # 192.0.2.0/24
    (0xC0000300, "public"),
    (0xC0A80000, "private"),  # 192.168.0.0/16
    (0xC0A90000, "public"),
    (0xC6120000, "reserved"),  # 198.18.0.0/15, benchmarks
    (0xC6140000, "public"),
    (0xC6336400, "documentation"),  # 198.51.100.0/24
    (0xC6336500, "public"),
    (0xCB007100, "documentation"),  # 203.0.113.0/24
    (0xCB007200, "public"),
    (0xE0000000, "multicast"),  # 224.0.0.0/4
    (0xF0000000, "reserved"),  # 240.0.0.0/4
)
# The same for the first 64 bits of an IPv6 address.
_V6: tuple[tuple[int, str], ...] = (
    (0x0000000000000000, "reserved"),  # ::/3 holds ::1 and translations of IPv4
    (0x2000000000000000, "public"),  # 2000::/3
    (0x2001000000000000, "reserved"),  # 2001::/23, protocol assignments
    (0x2001020000000000, "public"),
    (0x20010DB800000000, "documentation"),  # 2001:db8::/32
    (0x20010DB900000000, "public"),
    (0x3FFF000000000000, "documentation"),  # 3fff::/20, RFC 9637
    (0x3FFF100000000000, "public"),
    (0x4000000000000000, "reserved"),
    (0xFC00000000000000, "private"),  # fc00::/7
    (0xFE00000000000000, "reserved"),
    (0xFE80000000000000, "link_local"),  # fe80::/10
    (0xFEC0000000000000, "reserved"),
    (0xFF00000000000000, "multicast"),  # ff00::/8
)
_V4_STARTS = tuple(start for start, _ in _V4)
_V6_STARTS = tuple(start for start, _ in _V6)


def ip_class(ip: str) -> str:
    """Give `public, private, shared, loopback, link_local, multicast, reserved` or `documentation`.

    `ip` is a valid address in its usual spelling, as `Network.ip` holds it.

    >>> ip_class("8.8.8.8"), ip_class("10.1.2.3"), ip_class("239.1.1.1"), ip_class("203.0.113.9")
    ('public', 'private', 'multicast', 'documentation')
    >>> ip_class("100.64.0.1"), ip_class("250.0.0.1"), ip_class("fe80::1"), ip_class("::1")
    ('shared', 'reserved', 'link_local', 'loopback')
    """
    if ":" in ip:
        number = int(IPv6Address(ip))
        if number == 1:
            return "loopback"
        return _V6[bisect_right(_V6_STARTS, number >> 64) - 1][1]
    a, b, c, d = ip.split(".")
    number = int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)
    return _V4[bisect_right(_V4_STARTS, number) - 1][1]


def can_be_client(ip: str) -> bool:
    """Say whether a customer on the internet can have this address.

    >>> can_be_client("8.8.8.8"), can_be_client("224.0.0.1")
    (True, False)
    """
    return ip_class(ip) == "public"
