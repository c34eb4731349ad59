"""How does a command read the file that it is given, and spare one that is there?"""

from __future__ import annotations

import sys
from pathlib import Path


class FileUnreadable(Exception):
    """The file cannot be read; the text says why."""

    code = "file_unreadable"


class FileTaken(Exception):
    """A file of this name is there already."""

    code = "file_taken"


def read_bytes(file: Path) -> bytes:
    """Return what is in a file, `-` being standard input. Raises `FileUnreadable`."""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise FileUnreadable(f"cannot read {file}: {error.strerror}") from None


def check_new(file: Path) -> None:
    """Raise `FileTaken` where a file would be overwritten that may be somebody's evidence."""
    if file.is_file():
        raise FileTaken(
            f"{file} is there already, and is kept as it is: give another --out, or move it away"
        )
