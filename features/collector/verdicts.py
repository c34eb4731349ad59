"""What can be said of a fingerprint's signature?"""

from __future__ import annotations

from typing import Literal

Verdict = Literal[
    "verified",  # signed with our token, in time, and used for this event only
    "unchecked",  # as verified, but nobody could say whether it was used before
    "replayed",  # another event used it
    "expired",  # signed with our token, but too long ago
    "forged",  # the signature does not belong to this head and body
    "unsigned",  # the browser got no token
    "unreadable",  # not a fingerprint
]
BELIEVED: tuple[Verdict, ...] = ("verified", "unchecked")
