"""Who keeps the sequencer and the signer running? The supervisor, beside the workers.

Each is a process of its own that says once a second that it lives. Invariants: one that ended or
hangs is replaced; they end with the process that started them, however it ends, and the signer
before the sequencer, so that what was queued at a stop is placed and signed.
"""

from __future__ import annotations

import contextlib
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
# It says something every second, but takes a second to start, and ten times that on a machine that
# is busy with other things.
HUNG_SECONDS = 30.0
_READ_BYTES = 1 << 16

log = logging.getLogger(__name__)


class TreeKeepers:
    """Processes that run `python -m MODULE`, started in this order and stopped in reverse."""

    def __init__(self, modules: Sequence[str], *, hung_seconds: float = HUNG_SECONDS) -> None:
        self._modules = tuple(modules)
        self._hung_seconds = hung_seconds
        self._running: dict[str, _Keeper] = {}
        self._next_try = 0.0

    def revive(self) -> list[str]:
        """Start those that do not run, kill those that hang; return those that run again."""
        for module, keeper in self._running.items():
            if keeper.has_hung_for(self._hung_seconds):
                log.warning("%s has hung for %g s and is killed", module, self._hung_seconds)
                keeper.kill()
        ended = [module for module in self._modules if not self._runs(module)]
        if time.monotonic() < self._next_try:
            return []
        again = []
        for module in ended:
            self._next_try = time.monotonic() + RETRY_SECONDS
            try:
                started = _Keeper(module)
            except OSError as error:  # no memory for a process: tried again
                log.warning("%s cannot be started: %s", module, error.strerror)
                continue
            if module in self._running:
                self._running[module].forget()
                again.append(module)
            self._running[module] = started
        return again

    def stop(self) -> None:
        """End them, the last one first, and wait."""
        for module in reversed(self._modules):
            keeper = self._running.pop(module, None)
            if keeper is not None and not keeper.stop():
                log.warning("%s did not stop in time and was killed", module)

    def _runs(self, module: str) -> bool:
        return module in self._running and self._running[module].is_alive()


class _Keeper:
    """One process, and the end of a pipe at which it is heard."""

    def __init__(self, module: str) -> None:
        """Start it. Raises `OSError`."""
        self._pulse, theirs = os.pipe()
        os.set_blocking(self._pulse, False)
        self._heard_at = time.monotonic()
        spec = {
            "argv": [sys.executable, "-m", module, str(theirs)],
            "parent": os.getpid(),
            # What it acknowledged is durable, and nothing waits for an end in good order.
            "death_signal": int(signal.SIGKILL),
            "user": None,
            "needs": [],
        }
        starter = Path(str(child.__file__))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(starter), json.dumps(spec)],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the supervisor, which stops them in order
                pass_fds=(theirs,),
            )
        except BaseException:
            self.forget()
            raise
        finally:
            os.close(theirs)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def has_hung_for(self, seconds: float) -> bool:
        with contextlib.suppress(BlockingIOError):
            if os.read(self._pulse, _READ_BYTES):
                self._heard_at = time.monotonic()
        return self.is_alive() and time.monotonic() - self._heard_at > seconds

    def kill(self) -> None:
        """Kill it without waiting: what hangs in a system call dies when that returns."""
        self._process.kill()
        self._heard_at = time.monotonic()

    def stop(self) -> bool:
        """End it; return whether it ended by itself in time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        finally:
            self.forget()
        return True

    def forget(self) -> None:
        """Listen no longer."""
        os.close(self._pulse)
