"""Which bytes of a package does somebody ask for, and how do they leave?

One range at most (RFC 9110, section 14), so that a broken download goes on where it was. Invariant:
memory does not grow with the package, and what leaves is exactly what was packed: a damaged chunk
ends the answer before its length is reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from service.audit.exports.errors import RangeUnsatisfiable
from service.audit.exports.jobs import ReadyPackage
from service.audit.exports.store import SealedStore
from service.audit.package.members import Layout

# What one turn of a thread decrypts: about a millisecond.
PIECE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Span(NamedTuple):
    """The bytes [start, stop) of `size`; `is_part`: somebody asked for a range."""

    start: int
    stop: int
    size: int
    is_part: bool


def span_of(package: ReadyPackage, asked: str | None, only_if: str | None) -> Span:
    """Return the bytes that the headers `Range` and `If-Range` ask for.

    Several ranges, other units and a package that is not the one of `If-Range` give the whole.
    Raises `RangeUnsatisfiable`.
    """
    size = package.size
    found = _RANGE.fullmatch((asked or "").replace(" ", ""))
    if found is None or (only_if is not None and only_if.strip() != package.etag):
        return Span(0, size, size, is_part=False)
    first, last = found.groups()
    if not first and not last:
        return Span(0, size, size, is_part=False)
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return Span(0, size, size, is_part=False)
    if start >= size or start == stop:
        raise RangeUnsatisfiable(size)
    return Span(start, stop, size, is_part=True)


def content(package: ReadyPackage, store: SealedStore, span: Span) -> Iterator[bytes]:
    """Yield the bytes of a span. Raises `PackageDamaged`."""
    waiting: list[bytes] = []
    held = 0
    for piece in Layout(package.members).pieces(span.start, span.stop):
        for data in (piece.framing,) if piece.framing else store.read(piece):
            waiting.append(data)
            held += len(data)
            if held >= PIECE_BYTES:
                yield b"".join(waiting)
                waiting.clear()
                held = 0
    if waiting:
        yield b"".join(waiting)
