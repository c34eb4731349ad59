"""A backup of a log at rest is whole: the entry that says that it was taken is in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.embedded import EmbeddedServers
from service.signer.state import SignerFiles
from tests.running import entries, prepared_key, settings_on
from tests.served import free_port, served, touchstone
from tests.soak.drill import command

TO_BE_DONE = 1


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """The data directory of a service that runs as users start it."""
    return tmp_path / "var"


def test_a_log_at_rest_is_restored_whole(var: Path) -> None:
    """Stop the traffic, back up, lose the database, keep the signer: nothing is lost, and the
    service starts. Whether it ran when the backup was taken or not. What came after is named."""
    with_service(var, ["keys", "create", "--name", "first", "--scopes", "score"], backup(var))
    restored_whole(var)
    with_service(var, ["keys", "create", "--name", "second", "--scopes", "score"])
    assert run(var, *backup(var)).returncode == 0
    with_service(var)  # signs what the backup added
    restored_whole(var)

    with_service(var, ["keys", "create", "--name", "third", "--scopes", "score"])
    lose(var)
    done = run(var, "restore", str(var.parent / "backups"))
    assert done.returncode == TO_BE_DONE
    # That the backup was restored, the time before, and the key.
    size = signed(var)
    lost = f"LOST: 2 entries that were signed, numbers {size - 2} to {size - 1}."
    assert lost in done.stdout
    assert "touchstone ledger continue" in done.stdout
    refused = run(var, "serve", "--port", str(free_port()))
    assert refused.returncode == 1
    assert "the database is older than its signer" in refused.stderr


async def test_a_backup_that_failed_is_on_record(tmp_path: Path) -> None:
    """It is said before anything is copied who takes a backup, and afterwards that it failed."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path)
        await prepared_key(settings)
        (tmp_path / "file").touch()
        done = await asyncio.to_thread(command, settings, "backup", str(tmp_path / "file"))
        assert done.returncode == 1
        assert "nothing can be written" in done.stderr
        taken, failed = await entries(settings)
    assert (taken.type, failed.type) == ("backup.taken", "backup.failed")
    assert taken.core is not None
    assert failed.core is not None
    assert taken.core["backup"] == failed.core["backup"]


def restored_whole(var: Path) -> None:
    """Lose the database and bring it back: all of it."""
    lose(var)
    done = run(var, "restore", str(var.parent / "backups"))
    assert (done.returncode, "LOST" in done.stdout) == (0, False), done.stdout + done.stderr
    with_service(var)
    verified = run(var, "ledger", "verify")
    assert verified.returncode == 0, verified.stdout
    assert run(var, "ledger", "status").returncode == 0
    assert run(var, "ledger", "fsck").returncode == 0


def backup(var: Path) -> list[str]:
    """Return the words of the command."""
    return ["backup", str(var.parent / "backups")]


def lose(var: Path) -> None:
    """Lose the database; the signer's directory is kept."""
    shutil.rmtree(var / "postgres")


def signed(var: Path) -> int:
    """Return how many entries the signer remembers."""
    state = SignerFiles(var / "signer").load()
    assert state is not None
    return state.size


def with_service(var: Path, *commands: Sequence[str]) -> None:
    """Run commands while the service runs, and stop it: what is recorded is then signed."""
    port = free_port()
    command = touchstone("serve", "--port", str(port), "--var", str(var))
    with served(command, port, "/livez", var.parent / "log"):
        for words in commands:
            done = run(var, *words)
            assert done.returncode == 0, done.stderr


def run(var: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the data directory."""
    return subprocess.run(
        [*touchstone(*words), "--var", str(var)],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=120,
        check=False,
    )
