"""Was a fingerprint signed with a token that this service gave out lately?

A token is a head (issue time and nonce) and a secret, HMAC-SHA-256 of the head under a key that
only the service has. The browser signs with the secret and sends back the head alone: the service
keeps nothing, and whoever reads a fingerprint on its way cannot sign another.
Invariant: pure; the same key, time and nonce give the same token on every machine.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

# Long enough to fill in a checkout form, short enough that stolen fingerprints go stale.
TOKEN_SECONDS = 900
# How far the clocks of two of our machines may be apart.
SKEW_SECONDS = 60
NONCE_BYTES = 12
_TIME_BYTES = 6
_LABEL = b"touchstone/collector/1/token"


class TokenKey:
    """Makes tokens and checks signatures. Holds a secret key, so it never shows it."""

    __slots__ = ("_key",)

    def __init__(self, master: bytes) -> None:
        """Derive the key from the 32 secret bytes behind the tags (HKDF-Expand, RFC 5869)."""
        self._key = HKDFExpand(SHA256(), 32, _LABEL).derive(master)

    def issue(self, now_ms: int, nonce: bytes) -> str:
        """Give the token of a moment (Unix milliseconds) and 12 random bytes.

        >>> token = TokenKey(bytes(32)).issue(1_795_335_330_000, bytes(12))
        >>> head, secret = token.split(".")
        >>> len(head), len(secret)
        (24, 43)
        """
        head = now_ms.to_bytes(_TIME_BYTES, "big") + nonce
        return f"{text_of(head)}.{text_of(self._secret(head))}"

    def is_signed(self, head: bytes, signed: str, signature: str) -> bool:
        """Say whether a signature of `signed` was made with the secret of this head."""
        given = bytes_of(signature)
        made = hmac.digest(self._secret(head), signed.encode(), "sha256")
        return given is not None and hmac.compare_digest(made, given)

    def _secret(self, head: bytes) -> bytes:
        return hmac.digest(self._key, head, "sha256")

    def __repr__(self) -> str:
        return "TokenKey(...)"


def issued_ms(head: bytes) -> int:
    """Give the time at which the token with this head was given out."""
    return int.from_bytes(head[:_TIME_BYTES], "big")


def nonce_of(head: bytes) -> str:
    """Give the nonce in a head, as text."""
    return text_of(head[_TIME_BYTES:])


def head_of(text: str) -> bytes | None:
    """Read the head of a token; None when it cannot be one.

    >>> head_of("too short") is None
    True
    """
    head = bytes_of(text)
    return head if head is not None and len(head) == _TIME_BYTES + NONCE_BYTES else None


def text_of(raw: bytes) -> str:
    """Write bytes as base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes | None:
    """Read base64url without padding; None when it is none.

    >>> bytes_of(text_of(b"a/b")), bytes_of("?"), bytes_of("é")
    (b'a/b', None, None)
    """
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (NotBase64, ValueError):
        return None
    return raw if text_of(raw) == text else None  # one spelling, or a change could go unseen
