"""Which bytes are the collector script, and how is its version called?

Invariant: `version` and `integrity` follow from the content, so a cached copy is never another one.
"""

from __future__ import annotations

import gzip
import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import NamedTuple

PATH = Path(__file__).with_name("collector.js")
_VERSION_DIGITS = 16


class Script(NamedTuple):
    """The built script; `integrity` is for the page's script element (W3C SRI)."""

    content: bytes
    gzipped: bytes
    version: str
    integrity: str


@cache
def collector_script() -> Script:
    """Read the script, once."""
    content = PATH.read_bytes()
    digest = hashlib.sha256(content)
    return Script(
        content=content,
        gzipped=gzip.compress(content, 9, mtime=0),
        version=digest.hexdigest()[:_VERSION_DIGITS],
        integrity="sha256-" + b64encode(digest.digest()).decode(),
    )
