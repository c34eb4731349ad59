"""`touchstone rules backtest`: over a file without a service, and as a job of a running one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from service.cli.api_client import ApiClient
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.bench.backtest_bench import rule_set, write_facts
from tests.rule_sets import FIRST
from tests.running import service_process, settings_on
from tests.served import touchstone


def backtest(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        touchstone("rules", "backtest", *words),
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "COLUMNS": "150", **environment},
    )  # fmt: skip


def test_a_file_is_decided_without_a_service(tmp_path: Path) -> None:
    """Two directories and a table: the terminal shows the sums, both files are written."""
    facts, page, result = (tmp_path / name for name in ("facts.parquet", "r.html", "r.json"))
    write_facts(facts, 2000, seed=4)
    rule_set(20, shift=-3).write(tmp_path / "candidate")
    rule_set(20).write(tmp_path / "baseline")
    ended = backtest(
        str(tmp_path / "candidate"), "--baseline", str(tmp_path / "baseline"),
        "--data", str(facts), "--html", str(page), "--json", str(result), "--lang", "zh",
        "--var", str(tmp_path / "var"),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "2,000 事件" in ended.stdout
    found = json.loads(result.read_text())
    assert found["source"]["events"] == 2000
    assert found["candidate"]["version"] == rule_set(20, shift=-3).version
    assert page.read_text().startswith('<!doctype html><html lang="zh">')


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("./nowhere", "--data", "{facts}"), "there is no directory ./nowhere"),
        (("./nowhere",), "is a directory: push it first"),
        (("abcdef", "--key", "ts_a_b", "--url", "http://127.0.0.1:9"), "nothing answers"),
        (("abcdef",), "an API key is needed"),
        (("abcdef", "--lang", "fr"), "en or zh"),
        ((), "give a version, or --job"),
        (("abcdef", "--data", "{facts}", "--since", "2026-01-01"), "a file is decided whole"),
    ],
)
def test_what_cannot_be_is_one_clear_sentence(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    """No traceback, an exit code that is not 0."""
    facts = tmp_path / "facts.parquet"
    write_facts(facts, 10, seed=4)
    ended = backtest(*(word.format(facts=facts) for word in words), "--var", str(tmp_path / "var"))
    assert ended.returncode in (1, 2)
    assert says in " ".join(ended.stderr.split()).replace("│ ", "").replace(" │", "")
    assert "Traceback" not in ended.stderr


def test_a_job_is_followed_and_ctrl_c_cancels_it(
    servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """The command ends with the result; interrupted, it leaves a cancelled backtest."""
    FIRST.write(tmp_path / "rules")
    settings = settings_on(servers, tmp_path, patient_ms=5000)
    postgres = settings.postgres.model_copy(update={"url": fresh_postgres_url})
    settings = settings.model_copy(update={"postgres": postgres})
    with service_process(settings, tmp_path / "log", workers=1) as (served, key):
        url = f"http://127.0.0.1:{served.port}"
        client = ApiClient(Settings(var=tmp_path), url, key)
        files = client.get("/v1/rule-sets/live/files")["files"]
        policy = files["policy.yaml"].replace("review_at: 0.60", "review_at: 0.55")
        pushed = client.post("/v1/rule-sets", {"files": {**files, "policy.yaml": policy}})
        version = pushed["rule_set"]["version"]
        ended = backtest(version[:8], "--url", url, "--key", key, "--var", str(tmp_path / "var"))
        assert ended.returncode == 0, ended.stderr
        assert f"Candidate {version[:12]}" in ended.stdout
        assert "this backtest shows nothing" in " ".join(ended.stdout.split())

        [job] = client.get(f"/v1/rule-sets/{version}/backtests")
        words = ("--job", job["id"], "--url", url, "--key", key, "--var", str(tmp_path / "var"))
        assert backtest(*words).stdout == ended.stdout

        interrupted = _interrupted(version, url, key, tmp_path)
        assert (interrupted.returncode, interrupted.stderr.strip()) == (1, "error: cancelled")
        listed = client.get(f"/v1/rule-sets/{version}/backtests")
        assert [job["state"] for job in listed] == ["cancelled", "done"]


def _interrupted(
    version: str, url: str, key: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    words = (version, "--url", url, "--key", key, "--var", str(folder / "var"))
    process = subprocess.Popen(
        touchstone("rules", "backtest", *words),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    client = ApiClient(Settings(var=folder), url, key)
    deadline = time.monotonic() + 60
    while len(client.get(f"/v1/rule-sets/{version}/backtests")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert isinstance(process.args, list)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
