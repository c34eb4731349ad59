"""How does a program run the service beside itself? As a child, until the block ends.

Used by the demo, the bench and the tests that kill it. Invariant: the child is the very command
that users run, so what is true of one is true of the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# LightGBM and the rules take a few seconds to load on a slow machine; a first start creates the
# database as well.
START_SECONDS = 120.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.02


class LaunchError(Exception):
    """The service did not come up; the text is what it said."""

    code = "launch_failed"


@dataclass(slots=True)
class RunningService:
    """A service that answers at `url`."""

    url: str
    var: Path
    process: subprocess.Popen[bytes] = field(repr=False)
    workers: list[int]

    def kill(self) -> None:
        """End supervisor and workers at once, as a crash would (SIGKILL)."""
        for pid in [self.process.pid, *self.workers]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Stop gracefully and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode


@contextlib.contextmanager
def running_service(
    var: Path,
    *,
    port: int = 0,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[RunningService]:
    """Run `touchstone serve` and yield it once it answers; stop it when the block ends.

    `environment` adds settings; `log` takes what it prints to standard error (default: VAR/run/
    service.log). Raises `LaunchError`.
    """
    var = var.expanduser().resolve()
    (var / "run").mkdir(parents=True, exist_ok=True)
    log = log or var / "run" / "service.log"
    state = var / "run" / "service.json"
    words = ["serve", "--port", str(port), "--workers", str(workers), "--var", str(var)]
    with log.open("ab") as output:
        said_from = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            env={**os.environ, **(environment or {})},
            # Ctrl-C reaches the program that runs this, which then stops the service.
            start_new_session=True,
        )
    service = RunningService("", var, process, [])
    try:
        deadline = time.monotonic() + START_SECONDS
        while not service.url:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_bytes()[said_from:].decode(errors="replace").strip()
                raise LaunchError(said or "the service did not answer in time")
            with contextlib.suppress(OSError, ValueError, KeyError):
                told = json.loads(state.read_text(encoding="utf-8"))
                if told["pid"] == process.pid:
                    service.url, service.workers = told["url"], told["workers"]
            time.sleep(POLL_SECONDS)
        yield service
    finally:
        service.stop()
