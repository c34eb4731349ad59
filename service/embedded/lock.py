"""Who may use a data directory? The process that holds its lock, and until it ends.

Invariant: the kernel keeps the lock (flock), so a killed process never leaves one behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Literal

from service.embedded.errors import EmbeddedError, VarInUse

# `service`: others may attach to its servers. `command`: over in a moment, others wait.
Purpose = Literal["service", "command"]
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.05


class VarLock:
    """The lock of one data directory, held from `take` until `release`."""

    def __init__(self, var: Path) -> None:
        self._var = var
        self._path = var / "run" / "lock"
        self._descriptor: int | None = None

    def take(self, purpose: Purpose, *, attach: bool) -> bool:
        """Take the lock; return False if a service holds it and the caller can attach to it.

        Waits for a passing command. Raises `VarInUse` if a service holds it and the caller cannot
        attach, or a command holds it for too long.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while not self._try():
            pid, held_for = self._holder()
            if held_for == "service" and attach:
                return False
            if held_for == "service" or time.monotonic() > deadline:
                raise VarInUse(self._var, pid)
            time.sleep(POLL_SECONDS)
        assert self._descriptor is not None
        text = json.dumps({"pid": os.getpid(), "purpose": purpose}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)
        return True

    def release(self) -> None:
        """Let the next one in."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def _try(self) -> bool:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise EmbeddedError(f"cannot write to {self._path.parent}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def _holder(self) -> tuple[int | None, str | None]:
        try:
            held = json.loads(self._path.read_text(encoding="utf-8"))
            return held["pid"], held["purpose"]
        except (OSError, ValueError, KeyError):
            return None, None  # just taken or just released: look again
