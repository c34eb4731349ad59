"""Who and what takes part in an event, as keyed tags?

Values are normalised before they are tagged, so that one mailbox, phone, address or IPv6 line is
one entity however it is written.
Invariant: normalising twice changes nothing, and nothing here leaves in clear but the IP prefix.
"""

from __future__ import annotations

import unicodedata
from ipaddress import ip_network

from features.event import Address, Event
from features.mailboxes import mailbox_of
from features.tags import Tagger

# kind -> (field of the tag, word in feature names)
ENTITY_KINDS: dict[str, tuple[str, str]] = {
    "user": ("user", "user"),
    "device": ("device", "device"),
    "ip": ("ip", "ip"),
    "email": ("email", "email"),
    "phone": ("phone", "phone"),
    "payment_instrument": ("instrument", "instrument"),
    "shipping_address": ("address", "address"),
    "coupon_campaign": ("campaign", "campaign"),
    "merchant": ("merchant", "merchant"),
}


def entities_of(event: Event, tagger: Tagger) -> dict[str, str]:
    """Give the tag of each entity in an event, by kind, in the order of `ENTITY_KINDS`."""
    tag = tagger.tag
    tags: dict[str, str] = {}
    user, device, network = event.user, event.device, event.network
    if user is not None:
        tags["user"] = tag("user", user.id)
    if device is not None and device.id is not None:
        tags["device"] = tag("device", device.id)
    if network is not None:
        tags["ip"] = tag("ip", normal_ip(network.ip))
    if user is not None and user.email is not None:
        tags["email"] = tag("email", normal_email(user.email))
    if user is not None and user.phone is not None:
        tags["phone"] = tag("phone", normal_phone(user.phone))
    if event.payment is not None and event.payment.instrument is not None:
        tags["payment_instrument"] = tag("instrument", event.payment.instrument)
    if event.order is not None and event.order.shipping_address is not None:
        place = normal_address(event.order.shipping_address)
        if place is not None:
            tags["shipping_address"] = tag("address", place)
    if event.coupon is not None:
        tags["coupon_campaign"] = tag("campaign", event.coupon.campaign)
    if event.merchant is not None:
        tags["merchant"] = tag("merchant", event.merchant.id)
    return tags


def normal_email(email: str) -> str:
    """Give the mailbox behind an address: lower case, no +alias, no spelling that means nothing.

    >>> normal_email("L.i+shop7@GoogleMail.com")
    'li@gmail.com'
    >>> normal_email("l.i+shop7@example.com")
    'l.i@example.com'
    """
    local, _, domain = folded(email).rpartition("@")
    mailbox = mailbox_of(local, domain)
    return f"{mailbox.local}@{mailbox.domain}"


def normal_phone(phone: str) -> str:
    """Give the digits of a phone number, without the international prefix.

    >>> normal_phone("+86 138-0013-8000") == normal_phone("008613800138000")
    True
    """
    digits = "".join(filter(str.isdecimal, phone))
    return digits.lstrip("0") or digits[:1]


def normal_ip(ip: str) -> str:
    """Give the address that one customer holds: an IPv4 address, or the /64 of an IPv6 address.

    >>> normal_ip("203.0.113.9"), normal_ip("2001:db8::1")
    ('203.0.113.9', '2001:db8::/64')
    """
    if ":" not in ip or "/" in ip:
        return ip
    return str(ip_network((ip, 64), strict=False))


def normal_address(address: Address) -> str | None:
    """Give one spelling of an address, or None where it names no door.

    >>> here = Address(country="CN", city="HANGZHOU", line1="1  Lakeside Road ")
    >>> normal_address(here).split(chr(31))
    ['cn', '', 'hangzhou', '', '1 lakeside road']
    """
    if address.line1 is None:
        return None
    parts = (address.country, address.region, address.city, address.postal_code, address.line1)
    return "\x1f".join("" if part is None else folded(part) for part in parts)


def network_prefix(ip: str) -> str:
    """Give the part of an IP address that may be kept in clear: /24, or /48 for IPv6.

    >>> network_prefix("203.0.113.9"), network_prefix("2001:db8:1:2::3")
    ('203.0.113.0/24', '2001:db8:1::/48')
    """
    if ":" not in ip:  # an event's IPv4 address is in its one canonical form
        return ip.rpartition(".")[0] + ".0/24"
    return str(ip_network((ip, 48), strict=False))


def folded(text: str) -> str:
    """Give one spelling of a text: NFKC, no case, single spaces.

    >>> folded("  ＬＩ  Street ")
    'li street'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.casefold().split())
