"""The files of models come back as they were, and nothing of a backup is written beside them."""

from __future__ import annotations

import io
import secrets
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from service.backup.chain import Backup
from service.backup.errors import BackupDamaged
from service.backup.manifest import BackupFile, Manifest, key_name
from service.backup.restore import restore_bundles
from service.backup.sealed_file import SealedWriter
from service.ledger.keys import KEY_BYTES, FileKek
from tests.running import KEK

CONTENT = b"a model"


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return the header of a member of a tar."""
    one = tarfile.TarInfo(name)
    one.type, one.linkname = kind, link
    one.size = len(CONTENT) if kind == tarfile.REGTYPE else 0
    return one


@pytest.fixture
def backed_up(tmp_path: Path) -> Callable[..., list[Backup]]:
    """Make a backup, sealed and named as it should be, of bundles with these members."""

    def make(*members: tarfile.TarInfo) -> list[Backup]:
        backup_id, data_key = secrets.token_hex(16), secrets.token_bytes(KEY_BYTES)
        directory = tmp_path / backup_id
        directory.mkdir()
        with (
            SealedWriter(directory / "000-bundles.sealed", data_key, backup_id) as writer,
            tarfile.open(fileobj=writer, mode="w|") as tar,  # type: ignore[call-overload]
        ):
            for one in members:
                tar.addfile(one, io.BytesIO(CONTENT[: one.size]))
        size, sha256 = writer.written()
        file = BackupFile(
            name="000-bundles.sealed", table="", part="bundles", columns=(), rows=len(members),
            size=size, sha256=sha256,
        )  # fmt: skip
        manifest = Manifest(
            id=backup_id, kind="full", log="test", created_at="2026-11-22T15:00:00+00:00",
            lineage="", parent=None, parent_sha256=None, first=0, size=0, root=None, entries=0,
            checkpoint=None, changes_from=0, migrations={}, sequences={}, bundles_sha256="",
            files=(file,), wrapped_key=FileKek(KEK).wrap(key_name(backup_id), data_key).hex(),
        )  # fmt: skip
        return [Backup(directory, manifest, "")]

    return make


def files_under(folder: Path) -> dict[str, bytes]:
    """Return the content of every file by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_come_back(backed_up: Callable[..., list[Backup]], tmp_path: Path) -> None:
    """Each in its directory; bundles that are there are left alone."""
    line, var = backed_up(member("ab/model.txt"), member("current")), tmp_path / "var"
    assert restore_bundles(line, FileKek(KEK), var) == 2
    assert files_under(var) == {"bundles/ab/model.txt": CONTENT, "bundles/current": CONTENT}
    (var / "bundles" / "current").write_bytes(b"another")
    assert restore_bundles(line, FileKek(KEK), var) == 0
    assert files_under(var)["bundles/current"] == b"another"


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("ab/../../outside"),
        member("{absolute}/outside"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "current"),
        member("link", tarfile.LNKTYPE, "current"),
        member("link", tarfile.LNKTYPE, "../outside"),
        member("device", tarfile.CHRTYPE),
        member("device", tarfile.BLKTYPE),
        member("pipe", tarfile.FIFOTYPE),
        member("directory", tarfile.DIRTYPE),
    ],
    ids=lambda one: f"{one.name}-{one.type.decode()}",
)
def test_nothing_but_files_below(
    backed_up: Callable[..., list[Backup]], tmp_path: Path, bad: tarfile.TarInfo
) -> None:
    """A member outside the directory, a link, a device or a pipe is refused, and none is made."""
    bad.name = bad.name.replace("{absolute}", str(tmp_path / "var"))
    line, var = backed_up(member("current"), bad, member("link/outside")), tmp_path / "var"
    with pytest.raises(BackupDamaged, match="among its bundles"):
        restore_bundles(line, FileKek(KEK), var)
    assert not (var / "bundles").exists()
    assert {path.name for path in var.rglob("*")} <= {"bundles.new", "current"}
