"""Real processes to measure: the service and its yardstick, started, watched and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

HOST = "127.0.0.1"
# Ten times what it takes: proofs run on machines that are busy with others.
START_SECONDS = 180


@dataclass(frozen=True)
class Served:
    """A running server; `workers` are the processes that answer requests."""

    port: int
    process: psutil.Process

    def cpu_seconds(self) -> dict[str, float]:
        """Return user + system seconds so far, by kind of process."""
        seconds: dict[str, float] = {}
        for process in [self.process, *self.process.children(recursive=True)]:
            try:
                name = _kind(process)
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            seconds[name] = seconds.get(name, 0.0) + times.user + times.system
        return seconds


def _kind(process: psutil.Process) -> str:
    name = process.name()
    for kind in ("valkey", "postgres"):
        if kind in name:
            return kind
    return "service"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(
    command: list[str], port: int, path: str, log: Path, extra: dict[str, str] | None = None
) -> Iterator[Served]:
    """Run `command` until the block ends; wait until `path` answers before entering it."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | (extra or {})
    with log.open("ab") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        _wait(child, port, path, log)
        yield Served(port, psutil.Process(child.pid))
    finally:
        child.terminate()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def touchstone(*arguments: str) -> list[str]:
    """Return the command line of the `touchstone` beside this interpreter."""
    return [str(Path(sys.executable).with_name("touchstone")), *arguments]


def _wait(child: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        if child.poll() is not None:
            raise RuntimeError(f"{child.args!r} ended with {child.returncode}:\n{log.read_text()}")
        try:
            urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=2).close()
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(
        f"{child.args!r} did not answer within {START_SECONDS} s:\n{log.read_text()}"
    )
