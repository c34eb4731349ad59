"""Which code decided? The hash of the sources that can change a decision.

An entry names it, so that an auditor knows what to run to compute the decision again (P9).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_FOLDERS = ("features", "rules", "service")
_SUFFIXES = {".py", ".lua"}


def code_version(root: Path | None = None) -> str:
    """Return the SHA-256 (hex) over path and content of every source under `root`.

    `root` holds the folders `features`, `rules` and `service`; it is where this package lies
    unless given. Takes about 10 ms.
    """
    top = root or Path(__file__).parent.parent
    digest = hashlib.sha256()
    for folder in _FOLDERS:
        for path in sorted((top / folder).rglob("*")):
            if path.suffix in _SUFFIXES and "__pycache__" not in path.parts:
                content = path.read_bytes()
                name = path.relative_to(top).as_posix()
                digest.update(f"{len(name)} {name} {len(content)} ".encode())
                digest.update(content)
    return digest.hexdigest()
