"""Of what does a package consist, and where does each byte of it lie?

A package is one tar whose members are written side by side, each to a place of its own, and read as
if they lay one after the other: `Layout` says which bytes are framing and which are a member's.
Invariant: the framing has one form (`verify.py` refuses every other), so sizes and names alone say
every byte between the members.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from service.audit.package.verify import TAR_END, member_header, padding

# The members come in many small pieces; what takes them likes large ones.
BUFFER_BYTES = 1 << 20


class Member(NamedTuple):
    """A member that is written: its place in the order of the package, name, size and SHA-256."""

    place: int
    name: str
    size: int
    sha256: str


class RawFile(Protocol):
    """Takes the bytes of one member, in order."""

    def write(self, data: bytes) -> object:
        """Keep the bytes; raises `OSError`."""
        ...

    def close(self) -> None:
        """Everything was written; raises `OSError`."""
        ...


class Sink(Protocol):
    """Where a package goes. Several processes may each have a copy of one sink (it is pickled)."""

    def open(self, place: int) -> RawFile:
        """Give the file of one member, which is opened once. Raises `OSError`."""
        ...


class MemberFile:
    """Writes one member, and knows its size and hash in the end."""

    def __init__(self, sink: Sink, place: int, name: str) -> None:
        self._raw = sink.open(place)
        self._place = place
        self._name = name
        self._hash = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._size = 0
        self._is_closed = False

    def write(self, data: bytes) -> int:
        """Add bytes and return how many."""
        data = bytes(data)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= BUFFER_BYTES:
            self.flush()
        return len(data)

    def tell(self) -> int:
        """Return how many bytes were added."""
        return self._size + self._waiting_bytes

    def flush(self) -> None:
        """Pass on what waits."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._size += len(data)
        self._hash.update(data)
        self._raw.write(data)

    @property
    def closed(self) -> bool:
        """Whether nothing can be added any more."""
        return self._is_closed

    def close(self) -> None:
        """Let go of the file; what waits is lost. Twice is no error."""
        if not self._is_closed:
            self._is_closed = True
            self._raw.close()

    def done(self) -> Member:
        """Close the file and return what was written."""
        self.flush()
        self.close()
        return Member(self._place, self._name, self._size, self._hash.hexdigest())


def write_member(sink: Sink, place: int, name: str, content: bytes) -> Member:
    """Write a whole member at once."""
    file = MemberFile(sink, place, name)
    try:
        file.write(content)
        return file.done()
    finally:
        file.close()


class Piece(NamedTuple):
    """Some bytes of a package: framing as it is, or a part of a member (`framing` is empty)."""

    framing: bytes
    place: int = 0
    offset: int = 0
    length: int = 0


class Layout:
    """The tar over members that are in their order."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = list(members)
        self._starts: list[int] = []
        at = 0
        for member in self._members:
            self._starts.append(at)
            at += len(_head(member)) + member.size + len(padding(member.size))
        self.size = at + len(TAR_END)

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[Piece]:
        """Yield the bytes [start, stop) of the package in order."""
        stop = self.size if stop is None else stop
        for member, at in zip(self._members, self._starts, strict=True):
            if at >= stop:
                return
            head, tail = _head(member), padding(member.size)
            body = at + len(head)
            end = body + member.size
            if end + len(tail) <= start:
                continue
            yield from _cut(head, at, start, stop)
            first, last = max(start, body), min(stop, end)
            if first < last:
                yield Piece(b"", member.place, first - body, last - first)
            yield from _cut(tail, end, start, stop)
        yield from _cut(TAR_END, self.size - len(TAR_END), start, stop)


def pack(members: Sequence[Member], read: Callable[[Piece], Iterator[bytes]]) -> Iterator[bytes]:
    """Yield the whole package; `read` gives the bytes of a piece of a member."""
    for piece in Layout(members).pieces():
        if piece.framing:
            yield piece.framing
        else:
            yield from read(piece)


def _head(member: Member) -> bytes:
    return member_header(member.name, member.size)


def _cut(framing: bytes, at: int, start: int, stop: int) -> Iterator[Piece]:
    data = framing[max(0, start - at) : max(0, stop - at)]
    if data:
        yield Piece(data)
