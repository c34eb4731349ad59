"""Who keeps the workers running? One parent process that decides nothing and serves nothing.

uvicorn's own supervisor (starts workers, replaces dead and hung ones, passes signals on), with the
embedded servers looked after in the same loop. Invariant: workers end with the supervisor, even
when it is killed.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from uvicorn import Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from service.embedded import EmbeddedError, EmbeddedServers
from service.tree_keepers import TreeKeepers

# Requests under way get this long to finish: far above any time budget of one.
DRAIN_SECONDS = 5
STOP_SECONDS = 15.0
PING_SECONDS = 1.0
# Loading rules and model holds the interpreter for a second or so; on a machine that is busy with
# other things for ten times as long.
HUNG_SECONDS = 30.0
# A worker that cannot start again (a database that is down) is tried at this pace, in all.
RETRY_SECONDS = 2.0
# Objects until a collection, and younger collections until an older one (Python: 700, 10, 10).
COLLECT_AFTER = (50_000, 20, 20)
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

Message = MutableMapping[str, Any]

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
}

log = logging.getLogger(__name__)


class Supervisor(Multiprocess):
    """Runs the workers until SIGINT or SIGTERM."""

    def __init__(
        self,
        workers: int,
        address: socket.socket,
        servers: EmbeddedServers | None,
        keepers: TreeKeepers,
        *,
        on_ready: Callable[[list[int]], None],
    ) -> None:
        config = Config(
            "service.supervisor:worker_app",
            factory=True,
            workers=workers,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            log_config=LOGGING,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        super().__init__(config, [])
        self._address = address
        self._servers = servers
        self._keepers = keepers
        self._on_ready = on_ready
        self._is_announced = False
        self._was_ready = False
        self._has_failed = False
        self._last_answer: dict[int, float] = {}
        self._next_try = 0.0

    def run_until_stopped(self) -> bool:
        """Run; return False if the workers could not start."""
        self.run()
        return not self._has_failed

    def keep_subprocess_alive(self) -> None:
        """Replace dead and hung workers, revive dead servers, and say so once all answer.

        Called by uvicorn's loop twice a second.
        """
        if self.should_exit.is_set() or self.signal_queue:
            return  # Ctrl-C reaches the workers too: that they end is no failure
        if self._servers is not None:
            try:
                for name in self._servers.revive():
                    log.warning("%s had died and runs again", name)
            except (EmbeddedError, OSError) as error:
                log.warning("%s", error)  # tried again at the next turn
        for name in self._keepers.revive():
            log.warning("%s had ended and runs again", name)
        for index, process in enumerate(self.processes):
            if not process.process.is_alive() or self._is_hung(process):
                self._replace(index, process)
        if self._has_failed or self.should_exit.is_set():
            return
        if not self._is_announced and all(
            process.is_ready(PING_SECONDS) for process in self.processes
        ):
            self._is_announced = self._was_ready = True
            self._on_ready([process.pid for process in self.processes if process.pid])

    def _is_hung(self, process: Process) -> bool:
        answered = process.ping(PING_SECONDS)
        key = id(process)
        if answered:
            self._last_answer[key] = time.monotonic()
        return time.monotonic() - self._last_answer.setdefault(key, time.monotonic()) > HUNG_SECONDS

    def _replace(self, index: int, process: Process) -> None:
        process.kill()
        process.process.join()
        self._last_answer.pop(id(process), None)
        if not self._was_ready:
            # The first workers cannot start: the set-up is wrong and another try would end alike.
            self._has_failed = True
            self.should_exit.set()
            return
        if time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + RETRY_SECONDS
        log.warning("worker %s ended (%s) and is replaced", process.pid, process.exitcode)
        if process.pid is not None:
            _forget_metrics(process.pid)
        self.processes[index] = self._started()
        self._is_announced = False

    def init_processes(self) -> None:
        """Start the workers."""
        self.processes += [self._started() for _ in range(self.processes_num)]

    def restart_all(self) -> None:
        """Replace each worker by one that is ready (SIGHUP)."""
        for index, old in enumerate(self.processes):
            fresh = self._started()
            if not fresh.wait_until_ready(self.config.timeout_worker_healthcheck, self.should_exit):
                fresh.kill()
                fresh.join()
                log.error("a new worker was not ready in time; the old ones go on")
                return
            old.terminate()
            old.join()
            self.processes[index] = fresh

    def handle_ttin(self) -> None:
        """Add a worker (SIGTTIN)."""
        self.processes_num += 1
        self.processes.append(self._started())

    def _started(self) -> Process:
        """Start a worker with a listening socket of its own.

        The kernel spreads connections over the sockets of an address. Workers that share one
        socket do not share the work: whoever wakes first takes all that came (seen: 32 to 0).
        Only the worker holds its socket, so what a dead one leaves goes to the others.
        """
        with socket.socket(self._address.family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(self._address.getsockname())
            process = Process(self.config, [listener])
            process.start()
        return process

    def join_all(self) -> None:
        """Wait for the workers to drain, and end those that do not."""
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes:
            process.process.join(max(0.1, deadline - time.monotonic()))
            if process.process.is_alive():
                log.warning("worker %s did not stop in time and was killed", process.pid)
                process.process.kill()
                process.process.join()


def worker_app() -> Callable[..., Awaitable[None]]:
    """Return the app of one worker; the worker dies with the supervisor."""
    if sys.platform == "linux":
        # SIGKILL: what was answered is durable, and the port is free for the next start at once.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        supervisor = multiprocessing.parent_process()
        if supervisor is not None and not supervisor.is_alive():
            os._exit(1)  # it was killed before the line above: no signal comes for that
    from service.api.app import create_app

    app = create_app()

    async def with_plain_errors(
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {**message, "message": _in_one_line(sys.exception(), message)}
            elif message["type"] == "lifespan.startup.complete":
                _spare_the_collector()
            await send(message)

        await app(scope, receive, sent)

    return with_plain_errors


def _spare_the_collector() -> None:
    """Take what lives as long as the worker out of the garbage collector's sight.

    A decision makes some hundred short-lived objects and few cycles; walking code, catalog and
    model each time a few of them pile up cost a tenth of a worker's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _in_one_line(error: BaseException | None, message: Message) -> str:
    """Return our own errors as their sentence, and everything else with its traceback."""
    if isinstance(getattr(error, "code", None), str):
        return f"cannot start: {error}"
    return str(message.get("message", ""))


def _forget_metrics(pid: int) -> None:
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if directory and Path(directory).is_dir():
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, directory)  # type: ignore[no-untyped-call]
