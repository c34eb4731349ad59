"""`touchstone ledger replay` as people call it: what it cannot use, it names."""

from __future__ import annotations

import os
import random
import tty
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.catalog import Catalog
from service.audit.replay_disclosed import PackageUnreadable, replay_package
from service.cli import build_app
from service.cli.ledger_replay import lines_of, shown
from tests.made_packages import export_of, made_log, members_of, packed, with_manifest

LOG = made_log(random.Random(31), 6)
ENTRY = "00" * 16


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A directory with a package, two of its views, and an empty tar."""
    export = export_of(LOG, 0, 6)
    members = with_manifest(LOG, members_of(LOG, export), export)
    (tmp_path / "package.tar").write_bytes(packed(members))
    (tmp_path / "empty.tar").write_bytes(packed({}))
    for name in ("entries-00000.jsonl", "ocsf-00000.jsonl"):
        (tmp_path / name).write_bytes(members[f"views/{name}"])
    (tmp_path / "list.jsonl").write_text("[]\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("--package", "p.tar", "--since", "2026-11-01"),
        ("--package", "p.tar", "--processes", "2"),
        ("--entry", ENTRY, "--limit", "3"),
        ("--rules", "somewhere"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(arguments: tuple[str, ...]) -> None:
    """Whoever gives two ways to choose decisions is told, and nothing is computed."""
    words = ["ledger", "replay", *arguments]
    done = CliRunner().invoke(build_app(words), words)
    assert done.exit_code == 2
    assert "with" in done.output


async def test_a_file_that_is_no_package_is_named(desk: Path) -> None:
    """Another view, another tar and another file are told from a package without decisions."""
    for name in ("ocsf-00000.jsonl", "empty.tar", "list.jsonl", "missing.tar"):
        with pytest.raises(PackageUnreadable, match=name):
            await replay_package(desk / name, [], desk, Catalog.load())
    for name in ("package.tar", "entries-00000.jsonl"):
        tally = await replay_package(desk / name, [], desk, Catalog.load())
        assert tally.total == tally.unread["withheld"]


async def test_nothing_computed_is_not_all_equal(desk: Path) -> None:
    """Without a decision nobody reads that all of them are equal."""
    lines = (desk / "entries-00000.jsonl").read_bytes().splitlines(keepends=True)
    others = b"".join(line for line in lines if b'"type":"decision"' not in line)
    (desk / "entries-00000.jsonl").write_bytes(others)
    tally = await replay_package(desk / "entries-00000.jsonl", [], desk, Catalog.load())
    assert lines_of(tally) == ["No decision is there: nothing was computed."]


def test_progress_without_a_terminal_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """What a cron job or a file keeps of it can be read."""
    for done in (100, 200, 250):
        shown(done, 250)
    assert capsys.readouterr().err == "100 of 250\n200 of 250\n250 of 250\n"


def test_progress_on_a_terminal_stays_on_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is written over the one before; the last ends the line."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal, os.fdopen(theirs, "w") as stderr:
        tty.setraw(theirs)
        monkeypatch.setattr("sys.stderr", stderr)
        shown(100, 250)
        shown(250, 250)
        seen = b""
        while not seen.endswith(b"\n"):  # a terminal hands on what it has, not all at once
            seen += terminal.read(100)
    assert seen == b"\r100 of 250\r250 of 250\n"
