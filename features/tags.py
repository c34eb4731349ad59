"""How does an identifier enter a store without being readable there?

A tag is HMAC-SHA-256 under a key of its own for each field, cut to 16 bytes (22 characters).
Invariant: without the key a tag tells nothing, and equal values of different fields never
give equal tags.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import ClassVar

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from features.errors import FeatureError

TAG_FIELDS: tuple[str, ...] = (
    "user",
    "device",
    "ip",
    "email",
    "phone",
    "instrument",
    "address",
    "campaign",
    "merchant",
    "coupon_code",
    "event",
    "body",
    "order",
    "field",
)
MASTER_KEY_BYTES = 32


class BadTagKeys(FeatureError):
    """The keys given to a `Tagger` are missing or too short."""

    code: ClassVar[str] = "BAD_TAG_KEYS"


def derive_tag_keys(master: bytes) -> dict[str, bytes]:
    """Derive one key for each of `TAG_FIELDS` from 32 secret bytes (HKDF-Expand, RFC 5869)."""
    if len(master) != MASTER_KEY_BYTES:
        raise BadTagKeys(f"the tag key must be {MASTER_KEY_BYTES} bytes, not {len(master)}")
    return {
        field: HKDFExpand(SHA256(), 32, b"touchstone/tag/1/" + field.encode()).derive(master)
        for field in TAG_FIELDS
    }


class Tagger:
    """Makes tags. Holds secret keys, so it never shows them."""

    __slots__ = ("_states",)

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take one key of at least 16 bytes for each of `TAG_FIELDS`."""
        missing = [field for field in TAG_FIELDS if len(keys.get(field, b"")) < 16]
        if missing:
            raise BadTagKeys("no key of 16 bytes or more for " + ", ".join(missing))
        # A keyed state is copied for each tag: hashing the key again would cost half as much more.
        self._states = {field: hmac.new(keys[field], digestmod="sha256") for field in TAG_FIELDS}

    def tag(self, field: str, value: str) -> str:
        """Give the 22-character tag of a value that is already normalised.

        >>> tagger = Tagger(derive_tag_keys(bytes(32)))
        >>> tagger.tag("user", "u-9") == tagger.tag("device", "u-9")
        False
        >>> len(tagger.tag("user", "u-9"))
        22
        """
        state = self._states[field].copy()
        state.update(value.encode())
        return urlsafe_b64encode(state.digest()[:16])[:22].decode()

    def __repr__(self) -> str:
        return "Tagger(...)"
