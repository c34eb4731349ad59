"""How does a command read the file that it is given?"""

from __future__ import annotations

import sys
from pathlib import Path


class FileUnreadable(Exception):
    """The file cannot be read; the text says why."""

    code = "file_unreadable"


def read_bytes(file: Path) -> bytes:
    """Return what is in a file, `-` being standard input. Raises `FileUnreadable`."""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise FileUnreadable(f"cannot read {file}: {error.strerror}") from None
