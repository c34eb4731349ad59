"""The commands that replace keys, beside a service of two workers that decides all the while."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.rotation import holds, prove


async def test_keys_are_replaced_while_the_service_decides(tmp_path: Path) -> None:
    """KEK and signing key, each by its command: nobody is refused,
    every stored key opens with the last KEK alone, and every decision is read.
    """
    found = await prove(tmp_path, rounds=1, persons=2000, quiet_seconds=1, at_length=False)
    assert holds(found), (found.rotating.statuses, found.foreign, found.unread, found.verify_said)
    assert found.rewrapped_rows >= 2000
    assert found.rotating.statuses[200] > 50
    assert found.files.count("wraps every key") == 1
    assert found.files.count("opens older backups and spools only") == 1


def test_a_key_file_for_a_first_start(tmp_path: Path) -> None:
    """The command writes a key that only its owner reads, and never over another file."""
    path = tmp_path / "kek.key"
    command = [sys.executable, "-m", "service.cli", "keys", "new-file", str(path)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    key = path.read_bytes()
    assert (len(key), path.stat().st_mode & 0o777) == (32, 0o600)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert again.stderr.startswith("error: cannot write the key file")
    assert path.read_bytes() == key


@pytest.mark.parametrize(
    ("which", "says"), [("tag", "is not rotated"), ("backup", "Every backup has a key of its own")]
)
def test_keys_that_have_no_rotation(which: str, says: str) -> None:
    """The command says why, and does nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "ledger", "rotate-keys", which],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert says in done.stderr
