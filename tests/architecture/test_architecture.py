"""What the tree promises: who imports whom, how long files are, what importing does not do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("features", "rules", "service", "training")
MOST_LINES = 400
# One file on purpose: an auditor reads it whole and runs it without the rest.
LONGER = {"service/audit/package/verify.py": 500}
MOST_TARGETS = 12
LOCK_LINE = re.compile(
    r"[a-z0-9-]+==[0-9a-z.]+( ; [a-zA-Z_0-9.<>=!'\" ]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
)


def sources() -> Iterator[Path]:
    """Every Python file of ours."""
    for folder in (*PACKAGES, "tests"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_imports_point_down() -> None:
    """The contracts in pyproject.toml hold: training, service, then features and rules."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_are_short() -> None:
    """No file is longer than 400 lines; the stand-alone verifier has 500 at most."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources()
        if (count := len(path.read_text(encoding="utf-8").splitlines()))
        > LONGER.get(str(path.relative_to(ROOT)), MOST_LINES)
    }
    assert long == {}


def test_importing_does_nothing() -> None:
    """No module opens a file, a socket, a process or a thread when it is imported."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/architecture/importing.py"), *PACKAGES],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["modules"] > 20
    assert found["did"] == []
    assert found["threads"] == 1


def test_make_help_is_short_and_complete() -> None:
    """Every public target explains itself, and there are at most twelve."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = re.findall(r"^  make (\S+)\s+\S", shown, re.MULTILINE)
    assert targets == phony.group(1).split()
    assert len(targets) <= MOST_TARGETS


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-dev.lock", "requirements-image.lock"]
)
def test_locks_name_no_place(name: str) -> None:
    """A lock holds names, versions, markers and hashes: no host, no path, no option."""
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        assert LOCK_LINE.fullmatch(line), line


def test_locks_agree() -> None:
    """What is deployed is what was tested: the smaller locks are parts of the larger one."""

    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return {line for line in lines if not line.startswith(" ")}

    everything = pins("requirements-dev.lock")
    # The image has no training, and the client of a key service that `make run` does without.
    assert pins("requirements-image.lock") | pins("requirements.lock") <= everything


def test_the_image_has_no_training() -> None:
    """The Dockerfile copies the serving packages only."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "training" not in "".join(line for line in text.splitlines() if line.startswith("COPY"))
