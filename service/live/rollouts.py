"""How does a candidate do for its share? Computed in a process of its own.

Invariant: whoever asks waits for some seconds at most; what takes longer goes on, and is there for
who asks again. One report is computed at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process
from types import TracebackType
from typing import Self

import orjson

from service.clock import monotonic
from service.errors import Refused
from service.evidence.rollout_report import RolloutReport
from service.rule_sets.errors import WrongState
from service.settings import Settings

PATIENCE_SECONDS = 15.0
FRESH_SECONDS = 10.0
STOP_SECONDS = 5.0
LONGEST_LINE = 64 << 20
MOST_KEPT = 4

log = logging.getLogger(__name__)


class ReportPending(Refused):
    """It is being computed; ask again."""

    code = "report_pending"


class ReportFailed(Refused):
    """It could not be computed: the log says why."""

    code = "report_failed"


class Rollouts:
    """Reports of this worker; use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: dict[str, tuple[float, RolloutReport]] = {}
        self._running: dict[str, asyncio.Task[RolloutReport]] = {}
        self._turn = asyncio.Lock()
        self._progress = (0, 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in list(self._running.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Refused):
                await task

    async def report(self, version: str) -> RolloutReport:
        """Return the report on a version's last rollout.

        Raises `WrongState` when it never had one, `ReportPending` and `ReportFailed`.
        """
        kept = self._kept.get(version)
        if kept is not None and monotonic() - kept[0] < FRESH_SECONDS:
            return kept[1]
        task = self._running.get(version)
        if task is None:
            task = asyncio.create_task(self._computed(version), name="rollout-report")
            self._running[version] = task
            task.add_done_callback(lambda done: self._ended(version, done))
        done, _ = await asyncio.wait((task,), timeout=PATIENCE_SECONDS)
        if not done:
            read, total = self._progress
            raise ReportPending(f"{read} of {total} decisions are read; ask again.")
        return task.result()

    def _ended(self, version: str, task: asyncio.Task[RolloutReport]) -> None:
        self._running.pop(version, None)
        if not task.cancelled() and task.exception() is None:
            while len(self._kept) >= MOST_KEPT:
                del self._kept[min(self._kept, key=lambda key: self._kept[key][0])]
            self._kept[version] = (monotonic(), task.result())

    async def _computed(self, version: str) -> RolloutReport:
        async with self._turn:
            self._progress = (0, 0)
            order = {"settings": self._settings.model_dump(mode="json"), "version": version}
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "service.evidence.rollout_child",
                stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE,
            )  # fmt: skip
            try:
                return await self._followed(process, orjson.dumps(order))
            finally:
                await _stopped(process)

    async def _followed(self, process: Process, order: bytes) -> RolloutReport:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order)
        process.stdin.close()
        while line := await process.stdout.readline():
            told = orjson.loads(line)
            if "report" in told:
                return RolloutReport.model_validate(told["report"])
            if "refused" in told:
                raise WrongState(told["refused"])
            if "error" in told:
                raise ReportFailed
            self._progress = (told["done"], told["total"])
        log.error("the process that computes the report of a rollout ended by itself")
        raise ReportFailed


async def _stopped(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
