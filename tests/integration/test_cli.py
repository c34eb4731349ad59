"""The command line: what people type does what it says, and errors are one line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.launch import LaunchError, RunningService, running_service
from service.secrets_files import ensure_keys
from service.settings import Settings

NEVER_KNOWN = """
pack: p
owner: o
rules:
  - id: checkout-after-failures
    description: Log-ins failed before the purchase.
    event_types: [checkout]
    when: user_login_failures_1h >= 5
    outcome: review
    reason: LOGIN_TOO_MANY_FAILURES
    threshold: {source: made up for a test, false_alarms: made up for a test}
    examples:
      - {expect: hit, facts: {user_login_failures_1h: 5}}
      - {expect: no_hit, facts: {user_login_failures_1h: 4}}
"""
EVENT = {
    "event_id": "one",
    "type": "login",
    "occurred_at": "2026-11-22T08:15:30Z",
    "user": {"id": "u-1"},
    "login": {"succeeded": True, "method": "password"},
}


def touchstone(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("touchstone")), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )


def call(url: str, key: str | None = None, body: object = None) -> tuple[int, bytes]:
    """Call the API and return status and body."""
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with two workers, as `touchstone serve` starts it."""
    with running_service(tmp_path_factory.mktemp("cli") / "var", workers=2) as running:
        yield running


def test_a_rule_that_can_never_be_known_is_found(tmp_path: Path) -> None:
    """A rule on facts that its type does not have is a problem, not a rule that sleeps."""
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "pack.yaml").write_text(NEVER_KNOWN, encoding="utf-8")
    done = touchstone("rules", "check", str(tmp_path))
    assert done.returncode == 1
    assert "'user_login_failures_1h' is never known for 'checkout'" in done.stderr


def test_help_is_quick() -> None:
    """Nothing heavy is imported for a help text: best of three, to keep the machine out of it."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        assert touchstone("--help").returncode == 0
        times.append(time.perf_counter() - started)
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from service.cli import build_app; build_app([]); print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"lightgbm", "numpy", "fastapi", "asyncpg", "redis", "cel_expr_python", "sklearn"}
    assert heavy & set(loaded) == set()
    assert min(times) < 5  # seconds; 0.3 here: only a gross mistake shows as time


def test_a_key_made_beside_a_running_service_gets_in(service: RunningService) -> None:
    """`keys create` prints the key alone; every worker takes it; after `revoke` none does."""
    made = touchstone(
        "keys", "create", "--name", "shop", "--scopes", "score", "--var", str(service.var)
    )
    assert re.fullmatch(r"ts_[a-z2-7]+_[a-z2-7]+\n", made.stdout), made.stderr
    key = made.stdout.strip()
    answers = [call(f"{service.url}/v1/score", key, EVENT) for _ in range(8)]
    assert [status for status, _ in answers] == [200] * 8
    assert len({json.loads(body)["decision_id"] for _, body in answers}) == 1
    listed = touchstone("keys", "list", "--var", str(service.var)).stdout
    key_id = key.split("_")[1]
    assert key_id in listed
    assert key.split("_")[2] not in listed
    nobody = touchstone("keys", "revoke", "nobody", "--var", str(service.var))
    assert "no API key nobody" in nobody.stderr
    assert touchstone("keys", "revoke", key_id, "--var", str(service.var)).returncode == 0
    deadline = time.monotonic() + 10
    while any(call(f"{service.url}/v1/score", key, EVENT)[0] == 200 for _ in range(4)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_ledger_verifies_beside_a_running_service(service: RunningService) -> None:
    """`ledger verify` attaches to the running servers and exits 0 on a whole log."""
    done = touchstone("ledger", "verify", "--var", str(service.var))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_dead_worker_is_replaced(service: RunningService) -> None:
    """kill -9 of a worker: the others answer on, and a new one takes its place."""
    os.kill(service.workers[0], signal.SIGKILL)
    state = service.var / "run" / "service.json"
    deadline, answered = time.monotonic() + 60, 0
    while service.workers[0] in (pids := json.loads(state.read_text())["workers"]):
        # What the dead worker had accepted or was about to is lost; the next call is answered.
        with contextlib.suppress(ConnectionError):
            assert call(f"{service.url}/livez")[0] == 200
            answered += 1
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert answered > 0
    assert len(pids) == 2
    service.workers = pids


def test_a_second_serve_is_told_in_one_line(service: RunningService) -> None:
    """The same directory, or the same port: one clear line, nothing started."""
    again = touchstone("serve", "--port", "0", "--var", str(service.var))
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert f"in use by process {service.process.pid}" in again.stderr
    port = service.url.rpartition(":")[2]
    other = touchstone("serve", "--port", port, "--var", str(service.var / "other"))
    assert other.returncode == 1
    assert f"port {port}" in other.stderr
    assert not (service.var / "other").exists()


def test_serve_stops_cleanly_and_keeps_its_data(tmp_path: Path) -> None:
    """SIGTERM: exit code 0, no process left, the key works after a restart."""
    var = tmp_path / "var"
    made = touchstone("keys", "create", "--name", "k", "--scopes", "score", "--var", str(var))
    key = made.stdout.strip()
    for _ in range(2):
        with running_service(var) as running:
            children = psutil.Process(running.process.pid).children(recursive=True)
            assert call(f"{running.url}/v1/score", key, EVENT)[0] == 200
            assert running.stop() == 0
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        assert not (var / "run" / "service.json").exists()


def test_a_killed_service_leaves_port_and_directory_free(tmp_path: Path) -> None:
    """kill -9 of the supervisor alone: its workers end too, and the next start works at once."""
    with running_service(tmp_path / "var", workers=2) as running:
        port = int(running.url.rpartition(":")[2])
        workers = [psutil.Process(pid) for pid in running.workers]
        running.process.kill()
        running.process.wait()
        psutil.wait_procs(workers, timeout=10)
    with running_service(tmp_path / "var", port=port) as running:
        assert call(f"{running.url}/livez")[0] == 200


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A broken set-up is a sentence, not a traceback."""
    (tmp_path / "packs").mkdir()
    with (
        pytest.raises(LaunchError) as caught,
        running_service(
            tmp_path / "var", environment={"TOUCHSTONE_RULES_DIR": str(tmp_path / "packs")}
        ),
    ):
        pass
    assert "cannot start: " in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        (["keys", "create", "--name", "k", "--scopes", "scor"], {}, "did you mean score"),
        (["config", "show"], {"TOUCHSTONE_HTTP__PROT": "1"}, "did you mean TOUCHSTONE_HTTP__PORT"),
        (
            ["serve", "--port", "0"],
            {"TOUCHSTONE_POSTGRES__URL": "postgresql://h/d"},
            "TOUCHSTONE_KEYS__KEK_FILE",
        ),
        (["serve", "--host", "192.0.2.1"], {}, "cannot listen on 192.0.2.1"),
        (["ledger", "checkpoint", "--cosign", "/nowhere/n"], {}, "cannot use /nowhere/n: No such"),
    ],
)
def test_expected_errors_are_one_line(
    tmp_path: Path, words: list[str], environment: dict[str, str], expected: str
) -> None:
    """No traceback, an exit code that is not 0, and a line that helps."""
    done = touchstone(*words, "--var", str(tmp_path / "var"), **environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        "ledger verify", "ledger status", "ledger fsck", "ledger checkpoint", "ledger replay",
        f"ledger prove {'00' * 16}", "ledger retention run --dry-run", "ledger retention run",
        "ledger rotate-keys kek", "ledger continue --reason drill", "backup {here}/copies",
        "keys list", "keys files", "keys revoke nobody", "features status", "features rebuild",
        "features backfill", "features show --entity user=u-1",
        "features extract --out {here}/e.parquet",
    ],
)  # fmt: skip
def test_a_mistyped_directory_is_no_empty_log(tmp_path: Path, words: str) -> None:
    """What reads or changes data says that there are none, and makes nothing there."""
    var = tmp_path / "vra"
    done = touchstone(*words.format(here=tmp_path).split(), "--var", str(var))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: no service has kept data under {var}: check --var")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_keys_without_their_database_are_no_empty_log(tmp_path: Path) -> None:
    """A directory that has lost its database is not taken for one that recorded nothing."""
    ensure_keys(Settings(var=tmp_path))
    done = touchstone("backup", str(tmp_path / "copies"), "--var", str(tmp_path))
    assert done.returncode == 1
    assert "`touchstone restore` brings a backup back" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["keys"]


def test_an_unreachable_database_is_one_line(tmp_path: Path) -> None:
    """A PostgreSQL of one's own that is not there is told without a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://u:geheim@127.0.0.1:{taken.getsockname()[1]}/d"
        for name in ("kek", "tag"):
            (tmp_path / name).write_bytes(os.urandom(32))
            (tmp_path / name).chmod(0o600)
        done = touchstone(
            *["keys", "list", "--var", str(tmp_path / "var")],
            TOUCHSTONE_POSTGRES__URL=url,
            TOUCHSTONE_KEYS__KEK_FILE=str(tmp_path / "kek"),
            TOUCHSTONE_KEYS__TAG_KEY_FILE=str(tmp_path / "tag"),
        )
    assert done.returncode == 1
    assert "PostgreSQL cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stderr
