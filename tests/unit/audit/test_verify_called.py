"""The verifier as an auditor calls it: a mistake of the caller is never a flaw of the package."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from service.audit.package import verify
from tests.made_packages import export_of, made_log, members_of, packed, with_manifest

LOG = made_log(random.Random(21), 12)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A directory with a package, its `export.json`, the key and a checkpoint."""
    export = export_of(LOG, 2, 10, earlier=(5,), purpose="the yearly audit")
    members = with_manifest(LOG, members_of(LOG, export), export)
    (tmp_path / "package.tar").write_bytes(packed(members))
    (tmp_path / "export.json").write_bytes(members["export.json"])
    (tmp_path / "manifest.note").write_bytes(members["manifest.note"])
    (tmp_path / "key").write_text(f"{LOG.vkey}\n", "utf-8")
    (tmp_path / "checkpoint").write_text(LOG.checkpoint(5), "utf-8")
    return tmp_path


def called(desk: Path, *arguments: str) -> int:
    """Call the verifier; `@NAME` is a file of the desk."""
    given = [str(desk / one[1:]) if one.startswith("@") else one for one in arguments]
    return verify.main([str(desk / "package.tar"), *given])


@pytest.mark.parametrize("kept", ["@checkpoint", "@export.json"])
@pytest.mark.parametrize("key", ["@key", pytest.param(LOG.vkey, id="vkey")])
def test_what_was_kept_is_taken_as_it_lies_there(
    desk: Path, key: str, kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Key and checkpoint are a text or a file; the export.json of a package is a checkpoint."""
    assert called(desk, "--key", key, "--since", kept) == 0
    said = capsys.readouterr().out
    assert "+ The log of your checkpoint" in said
    assert "+ The entries from number 2 up to, not including, 10 are here" in said
    assert "  blocks: " in said
    assert "  purpose: the yearly audit" in said
    assert "key: \n" not in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--key", "@nothing"), "nothing"),
        (("--key", "@checkpoint"), "not a verifier key"),
        (("--key", LOG.vkey.replace("shop", "another")), "its ID is of another one"),
        (("--key", "@key", "--since", "@nothing"), "nothing"),
        (("--key", "@key", "--since", "@key"), "--since: invalid checkpoint value"),
        (("--key", "@key", "--since", "@package.tar"), "--since: invalid checkpoint value"),
        (("--since", "@checkpoint"), "--key"),
    ],
)
def test_a_mistake_of_the_caller_is_not_one_of_the_package(
    desk: Path, arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was given wrongly is named, with an exit code of its own."""
    assert called(desk, *arguments) == verify.USAGE
    said = capsys.readouterr()
    assert told in said.out + said.err
    assert "INVALID" not in said.out


def test_a_machine_without_cryptography_is_told_what_is_missing(desk: Path) -> None:
    """One line and the code of what could not run; a traceback would look like a finding."""
    done = subprocess.run(
        # Without site-packages: the standard library alone.
        [sys.executable, "-S", "-I", verify.__file__, str(desk / "package.tar"), "--key", LOG.vkey],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (verify.USAGE, "")
    assert done.stderr.startswith("No module named 'cryptography'. Needed")
    assert "pip install cryptography (Debian: python3-cryptography)" in done.stderr
    assert done.stderr.count("\n") == 1
