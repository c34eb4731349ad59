"""How do several processes write the parts of one package?

Each takes part after part and tells through a pipe how far it is. Invariant: when `Workers.parts`
ends, however it does, none of its processes is left; one that dies by itself fails the whole.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import asyncpg

from service.audit.exports.errors import BuildFailed
from service.audit.exports.store import SealedStore
from service.audit.package.members import Sink
from service.audit.package.part import PartResult, Progress, part_count, write_part
from service.audit.package.request import PackageRequest
from service.keys import open_wrapper
from service.ledger.keys import Keyring
from service.settings import Settings

POLL_SECONDS = 0.1
STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


class Workers:
    """Writes the parts of packages with at most `processes` processes."""

    def __init__(self, settings: Settings, processes: int) -> None:
        self._settings = settings
        self._processes = processes

    async def parts(
        self, request: PackageRequest, sink: Sink, progress: Progress
    ) -> AsyncIterator[PartResult]:
        """Write every part and yield what was written; see `build.Parts`. Raises `BuildFailed`."""
        assert isinstance(sink, SealedStore)
        context = multiprocessing.get_context("spawn")
        count = part_count(request)
        share = min(self._processes, count)
        pipes: list[Connection] = []
        processes: list[BaseProcess] = []
        try:
            for first in range(share):
                ours, theirs = context.Pipe(duplex=False)
                numbers = range(first, count, share)
                process = context.Process(
                    target=_work,
                    args=(self._settings, request, sink, numbers, theirs),
                    daemon=True,
                )
                process.start()
                theirs.close()
                processes.append(process)
                pipes.append(ours)
            waiting = set(pipes)
            while waiting:
                ready = await asyncio.to_thread(wait, list(waiting), POLL_SECONDS)
                progress(0)
                for pipe in ready:
                    assert isinstance(pipe, Connection)
                    kind, content = _received(pipe)
                    if kind == "wrote":
                        progress(content)
                    elif kind == "part":
                        yield content
                    elif kind == "failed":
                        raise BuildFailed(content)
                    else:
                        waiting.remove(pipe)
        finally:
            _end(processes)
            for pipe in pipes:
                pipe.close()


def _received(pipe: Connection) -> tuple[str, Any]:
    try:
        kind, content = pipe.recv()
    except EOFError:
        return "failed", "A process that wrote it ended by itself: was it killed?"
    return kind, content


def _end(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _work(
    settings: Settings, request: PackageRequest, sink: SealedStore, numbers: range, pipe: Connection
) -> None:
    """Write some parts: what a process does. Its niceness is that of who started it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_write(settings, request, sink, numbers, pipe))
    except BrokenPipeError:
        return
    except Exception as error:  # noqa: BLE001 - who waits is told, `failure` logs
        pipe.send(("failed", failure(error)))
        return
    pipe.send(("done", None))


async def _write(
    settings: Settings, request: PackageRequest, sink: SealedStore, numbers: range, pipe: Connection
) -> None:
    ring = Keyring(open_wrapper(settings))
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        for number in numbers:
            result = await write_part(
                connection, ring, request, sink, number, lambda more: pipe.send(("wrote", more))
            )
            pipe.send(("part", result))
    finally:
        connection.terminate()


def failure(error: Exception) -> str:
    """Return what somebody who waits is told of an error; what is a bug of ours goes to the log."""
    if isinstance(error, OSError) and error.strerror:
        return f"The package cannot be written: {error.strerror}."
    if hasattr(error, "code"):
        return str(error)
    log.error("a package could not be built", exc_info=error)
    return f"An error of ours ({type(error).__name__}); the log says more."
