"""A package on disk: any bytes of it are found, none can be read or changed without its key."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from pathlib import Path

import pytest

from service.audit.exports.store import CHUNK_BYTES, PackageDamaged, SealedStore
from service.audit.package.members import Layout, Member, MemberFile, Piece, pack

SEALED_CHUNK = CHUNK_BYTES + 16
SIZES = (0, 1, 511, 512, 513, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 77)
EXPORT_ID, KEY = b"e" * 16, b"k" * 32


@pytest.fixture
def store(tmp_path: Path) -> SealedStore:
    made = SealedStore(tmp_path / "package", EXPORT_ID, KEY)
    made.create()
    return made


def written(store: SealedStore) -> tuple[list[Member], list[bytes]]:
    """Write members of awkward sizes in awkward pieces."""
    rng = random.Random(5)
    members, contents = [], []
    for place, size in enumerate(SIZES):
        content = rng.randbytes(size)
        file = MemberFile(store, place, f"member-{place}")
        at = 0
        while at < size:
            step = rng.choice((1, 100, 70_000))
            file.write(content[at : at + step])
            at += step
        members.append(file.done())
        contents.append(content)
    return members, contents


def read(store: SealedStore, members: list[Member], start: int, stop: int) -> bytes:
    """Return some bytes of the package."""
    found: list[bytes] = []
    for piece in Layout(members).pieces(start, stop):
        found += [piece.framing] if piece.framing else store.read(piece)
    return b"".join(found)


def test_any_range_is_that_of_the_whole(store: SealedStore) -> None:
    """The package is a tar of its members, and each range of bytes is cut from it."""
    members, contents = written(store)
    whole = b"".join(pack(members, store.read))
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert [tar.extractfile(one).read() for one in tar] == contents  # type: ignore[union-attr]
    assert [member.sha256 for member in members] == [
        hashlib.sha256(content).hexdigest() for content in contents
    ]
    assert len(whole) == Layout(members).size
    rng = random.Random(6)
    edges = [0, 1, 512, len(whole), *(rng.randrange(len(whole)) for _ in range(60))]
    for start in edges:
        for stop in rng.sample(edges, 8):
            if start < stop:
                assert read(store, members, start, stop) == whole[start:stop]


def test_what_lies_there_can_be_neither_read_nor_changed(store: SealedStore) -> None:
    """Every flipped, cut, lengthened, exchanged or moved piece of a file is refused."""
    members, contents = written(store)
    big = members[-1]
    file = store._directory / f"{big.place:06d}"
    good = file.read_bytes()
    assert contents[-1][:32] not in good
    first, second = good[:SEALED_CHUNK], good[SEALED_CHUNK : 2 * SEALED_CHUNK]
    for bad in (
        good[:-1],
        good[: 3 * SEALED_CHUNK],  # the last chunk is gone, whole
        good[: 2 * SEALED_CHUNK],
        good + bytes(SEALED_CHUNK),
        second + first + good[2 * SEALED_CHUNK :],
        bytes([good[0] ^ 1]) + good[1:],
        good[:-1] + bytes([good[-1] ^ 128]),
        b"",
    ):
        file.write_bytes(bad)
        with pytest.raises(PackageDamaged):
            list(store.read(Piece(b"", big.place, 0, big.size)))
    file.unlink()
    with pytest.raises(PackageDamaged):
        list(store.read(Piece(b"", big.place, 0, big.size)))
    file.write_bytes((store._directory / f"{members[-2].place:06d}").read_bytes())
    with pytest.raises(PackageDamaged):
        list(store.read(Piece(b"", big.place, 0, 10)))
    file.write_bytes(good)
    for other in (
        SealedStore(store._directory, EXPORT_ID, b"x" * 32),
        SealedStore(store._directory, b"x" * 16, KEY),
    ):
        with pytest.raises(PackageDamaged):
            list(other.read(Piece(b"", big.place, 0, 10)))
    assert b"".join(store.read(Piece(b"", big.place, 0, big.size))) == contents[-1]


def test_a_place_is_written_once(store: SealedStore) -> None:
    """A second writer of a place is refused: its nonces would be used twice."""
    store.open(0).close()
    with pytest.raises(FileExistsError):
        store.open(0)
    assert KEY.hex() not in repr(store)
