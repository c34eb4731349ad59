"""P8: a restored old backup is detected at start. Fifty of them: `make soak ARGS=restored`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from service.embedded import EmbeddedServers
from service.ledger.note import (
    parse_checkpoint,
    parse_next_key,
    parse_note,
    parse_vkey,
    verify_note,
)
from service.signer.state import SignerFiles
from tests.served import free_port, served, touchstone
from tests.soak.restored import noticed, restored


async def test_p8_restored_backups_are_noticed_at_start(tmp_path: Path) -> None:
    """At random points, as they are or with entries appended on top, up to the very size that was
    signed: no writer starts and nothing is signed; a copy that lacks nothing is taken."""
    with EmbeddedServers.start(tmp_path / "servers", valkey=False) as servers:
        assert servers.postgres_url is not None
        verdicts, whole = await restored(servers.postgres_url, tmp_path, copies=6, seed=8)
    assert [verdict for verdict in verdicts if not noticed(verdict)] == []
    assert (whole.at_start, whole.at_signing) == (None, None)


def test_p8_the_service_says_what_is_lost_and_goes_on_only_when_told(tmp_path: Path) -> None:
    """The story of a data directory that was put back: refused with what to do, then accepted by
    somebody who types the log's name, on record, under another origin with a key that follows."""
    var = tmp_path / "var"
    _record(var, tmp_path, "first")
    _copy(var / "postgres", tmp_path / "backup")
    _record(var, tmp_path, "second")
    lost = SignerFiles(var / "signer").load()
    shutil.rmtree(var / "postgres")
    _copy(tmp_path / "backup", var / "postgres")

    refused = _run(var, "serve", "--port", str(free_port()))
    assert refused.returncode == 1
    # From `serve` itself, before a worker is started: one line.
    assert refused.stderr.startswith("error: the database is older than its signer")
    assert refused.stderr.count("\n") == 1
    assert "touchstone ledger continue" in refused.stderr
    assert _run(var, "keys", "create", "--name", "third", "--scopes", "score").returncode == 1
    status = _run(var, "ledger", "status", "--language", "zh")
    assert status.returncode == 2
    assert "数据库被恢复到较旧的状态" in status.stdout
    wrong = _run(var, "ledger", "continue", "--confirm", "yes", "--reason", "a drill")
    assert wrong.returncode == 1

    accepted = _run(var, "ledger", "continue", "--confirm", "touchstone", "--reason", "a drill")
    assert accepted.returncode == 0, accepted.stderr
    _record(var, tmp_path, "fourth")
    assert _run(var, "ledger", "status").returncode == 0
    assert _run(var, "ledger", "fsck").returncode == 0
    note = parse_note(_run(var, "ledger", "checkpoint").stdout)
    state = SignerFiles(var / "signer").load()
    assert lost is not None
    assert state is not None
    assert parse_checkpoint(note.text).origin == "touchstone/2"
    statement = parse_note(str(state.keys[-1].statement))
    verify_note(statement, parse_vkey(lost.keys[-1].vkey))
    verify_note(note, parse_next_key(statement.text)[1])
    assert SignerFiles(var / "signer").load("state-touchstone.json") == lost
    nothing = _run(var, "ledger", "continue", "--confirm", "touchstone", "--reason", "again")
    assert "no loss to accept" in nothing.stderr


def _record(var: Path, folder: Path, name: str) -> None:
    """Run the service, let it record a key, and stop it: what was recorded is signed."""
    port = free_port()
    command = touchstone("serve", "--port", str(port), "--var", str(var))
    with served(command, port, "/livez", folder / "log"):
        made = _run(var, "keys", "create", "--name", name, "--scopes", "score")
        assert made.returncode == 0, made.stderr


def _copy(directory: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", str(directory), str(to)], check=True)


def _run(var: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*touchstone(*arguments), "--var", str(var)],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=60,
        check=False,
    )
