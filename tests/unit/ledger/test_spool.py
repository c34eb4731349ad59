"""The spool keeps what it acknowledged, within its bound, and says what it cannot read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from service.ledger.errors import SpoolBroken, SpoolFull
from service.ledger.spool import Damage, Found, Spool, leftover_paths

GROUPS = [b"first", b"second" * 50, b"third"]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A spool with three groups whose writer died."""
    spool = Spool.create(tmp_path, "a", 10_000)
    for group in GROUPS:
        spool.append(group)
    spool.release()
    return spool.path


def pieces(path: Path) -> list[Found | Damage]:
    spool = Spool.adopt(path)
    assert spool is not None
    found = list(spool.groups())
    spool.release()
    return found


def payloads(path: Path) -> list[bytes]:
    return [piece.payload for piece in pieces(path) if isinstance(piece, Found)]


def test_reads_back(filled: Path) -> None:
    """Groups come back in order; the file is its owner's alone."""
    assert payloads(filled) == GROUPS
    assert filled.stat().st_mode & 0o777 == 0o600


def test_torn_tail_costs_only_the_torn_group(filled: Path) -> None:
    """Cut anywhere, the whole groups before the cut are there and the rest is called torn."""
    whole = filled.read_bytes()
    ends = [piece.end for piece in pieces(filled)]
    for length in range(8, len(whole)):
        filled.write_bytes(whole[:length])
        found = pieces(filled)
        kept = [piece.payload for piece in found if isinstance(piece, Found)]
        assert kept == GROUPS[: sum(end <= length for end in ends)]
        damage = [piece for piece in found if isinstance(piece, Damage)]
        assert [piece.torn for piece in damage] == ([] if length in (8, *ends) else [True])


def test_changed_byte_is_damage_and_the_rest_is_read(filled: Path) -> None:
    """A flipped byte costs its group only; what follows is found again."""
    whole = bytearray(filled.read_bytes())
    first_end = next(iter(pieces(filled))).end
    for place in range(8, first_end):
        changed = whole.copy()
        changed[place] ^= 0xFF
        filled.write_bytes(changed)
        found = pieces(filled)
        assert isinstance(found[0], Damage)
        assert not found[0].torn
        assert payloads(filled) == GROUPS[1:]


def test_bound(tmp_path: Path) -> None:
    """A group that does not fit is refused and leaves no trace."""
    spool = Spool.create(tmp_path, "a", 100)
    spool.append(b"x" * 40)
    size = spool.path.stat().st_size
    with pytest.raises(SpoolFull):
        spool.append(b"x" * 50)
    assert spool.path.stat().st_size == size
    spool.append(b"x" * spool.room_bytes())
    assert spool.path.stat().st_size == 100
    spool.release()


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_group_that_is_not_durable_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """After a failed write or fsync the group is not in the file, and the next one is."""
    spool = Spool.create(tmp_path, "a", 1000)
    spool.append(b"kept")
    real = getattr(os, call)
    fails = iter([False, True] if call == "pwrite" else [True])

    def failing(*arguments: object) -> object:
        if next(fails, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(SpoolBroken, match="No space left"):
        spool.append(b"lost")
    monkeypatch.undo()
    spool.append(b"next")
    spool.release()
    assert payloads(spool.path) == [b"kept", b"next"]
    assert not any(isinstance(piece, Damage) for piece in pieces(spool.path)), "a hole"


def test_spool_that_cannot_be_cut_takes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is not known what is in the file, the spool refuses for good."""
    spool = Spool.create(tmp_path, "a", 1000)

    def failing(*arguments: object) -> object:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(SpoolBroken):
        spool.append(b"unsure")
    monkeypatch.undo()
    assert spool.broken is not None
    with pytest.raises(SpoolBroken):
        spool.append(b"next")
    spool.release()


def test_fsync_comes_before_the_acknowledgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is acknowledged that was not fsynced after its last byte was written."""
    spool = Spool.create(tmp_path, "a", 1000)
    sizes = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    spool.append(b"one")
    assert sizes[-1] == spool.end
    spool.append(b"two")
    assert sizes[-1] == spool.end
    assert len(sizes) == 2
    spool.release()


def test_file_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    """A locked file is not adopted; a released one is, and a removed one is gone."""
    spool = Spool.create(tmp_path, "a", 1000)
    assert leftover_paths(tmp_path) == [spool.path]
    assert Spool.adopt(spool.path) is None
    spool.release()
    adopted = Spool.adopt(spool.path)
    assert adopted is not None
    assert Spool.adopt(spool.path) is None
    adopted.remove()
    assert Spool.adopt(spool.path) is None


def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The error names the directory."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SpoolBroken, match="file"):
        Spool.create(blocked, "a", 1000)
