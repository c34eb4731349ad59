"""What kind of address is this IP?

Classes are those of the IANA special-purpose registries, as Python's `ipaddress` knows them.
Invariant: every valid address has exactly one class.
"""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

_SHARED = (0x64400000, 0x647FFFFF)  # 100.64.0.0/10, RFC 6598: behind a carrier's NAT


def ip_class(ip: str) -> str:
    """Give `public, private, shared, loopback, link_local, multicast, reserved` or `documentation`.

    >>> ip_class("8.8.8.8"), ip_class("10.1.2.3"), ip_class("239.1.1.1"), ip_class("203.0.113.9")
    ('public', 'private', 'multicast', 'documentation')
    >>> ip_class("100.64.0.1"), ip_class("250.0.0.1"), ip_class("fe80::1")
    ('shared', 'reserved', 'link_local')
    """
    address = ip_address(ip)
    if isinstance(address, IPv4Address):
        number = int(address)
        if _SHARED[0] <= number <= _SHARED[1]:
            return "shared"
        documentation = number >> 8 in (0xC00002, 0xC63364, 0xCB0071)  # RFC 5737
    else:
        documentation = int(address) >> 96 == 0x20010DB8  # RFC 3849
    if documentation:
        return "documentation"
    if address.is_multicast:
        return "multicast"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link_local"
    if address.is_unspecified or address.is_reserved:
        return "reserved"
    return "public" if address.is_global else "private"


def can_be_client(ip: str) -> bool:
    """Say whether a customer on the internet can have this address.

    >>> can_be_client("8.8.8.8"), can_be_client("224.0.0.1")
    (True, False)
    """
    return ip_class(ip) == "public"
