"""Who keeps the sequencer and the signer running? The supervisor, beside the workers.

Each is a process of its own. Invariant: they end with the process that started them, however it
ends, and the signer before the sequencer, so that what was queued at a stop is placed and signed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from service.embedded import child

STOP_SECONDS = 6.0
# A process that cannot live is tried at this pace.
RETRY_SECONDS = 2.0

log = logging.getLogger(__name__)


class TreeKeepers:
    """Processes that run `python -m MODULE`, started in this order and stopped in reverse."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = tuple(modules)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._next_try = 0.0

    def revive(self) -> list[str]:
        """Start those that do not run; return the names of those that had ended."""
        ended = [
            module for module in self._modules
            if module in self._processes and self._processes[module].poll() is not None
        ]  # fmt: skip
        if ended and time.monotonic() < self._next_try:
            return []
        for module in self._modules:
            if module in ended or module not in self._processes:
                self._processes[module] = _started(module)
                self._next_try = time.monotonic() + RETRY_SECONDS
        return ended

    def pids(self) -> dict[str, int]:
        """Return the process id of each module."""
        return {module: process.pid for module, process in self._processes.items()}

    def stop(self) -> None:
        """End them, the last one first, and wait."""
        for module in reversed(self._modules):
            process = self._processes.pop(module, None)
            if process is None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                log.warning("%s did not stop in time and was killed", module)
                process.kill()
                process.wait()


def _started(module: str) -> subprocess.Popen[bytes]:
    spec = {
        "argv": [sys.executable, "-m", module],
        "parent": os.getpid(),
        # What it acknowledged is durable, and nothing waits for an end in good order.
        "death_signal": int(signal.SIGKILL),
        "user": None,
        "needs": [],
    }
    starter = Path(str(child.__file__))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(starter), json.dumps(spec)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches the supervisor, which stops them in order
    )
