"""What do the recorded decisions say? Computed in a process of its own, shared by all who ask.

Invariant: whoever asks waits for some seconds at most; what takes longer goes on, and is there for
who asks again. One report of a kind is computed at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process
from types import TracebackType
from typing import Generic, Self, TypeVar

import orjson
from pydantic import BaseModel

from service.children import end
from service.clock import monotonic
from service.errors import Refused
from service.evidence.report_child import order_text
from service.rule_sets.errors import WrongState
from service.settings import Settings

PATIENCE_SECONDS = 15.0
# A report of 1,000 rules over 90 days has 8 MB.
LONGEST_LINE = 64 << 20
MOST_KEPT = 8

log = logging.getLogger(__name__)

Question = TypeVar("Question", bound=BaseModel)
Report = TypeVar("Report", bound=BaseModel)


class ReportPending(Refused):
    """It is being computed; ask again."""

    code = "report_pending"


class ReportFailed(Refused):
    """It could not be computed: the log says why."""

    code = "report_failed"


class Reports(Generic[Question, Report]):
    """The reports of one kind in this worker; use as an async context manager.

    A report that is not older than `fresh_seconds` is given to who asks the same.
    """

    def __init__(
        self, settings: Settings, module: str, report: type[Report], fresh_seconds: float
    ) -> None:
        """`module` is run as a process and calls `report_child.answer`; it says a `report`."""
        self.fresh_seconds = fresh_seconds
        self._settings = settings
        self._module = module
        self._report = report
        self._kept: dict[Question, tuple[float, Report]] = {}
        self._running: dict[Question, asyncio.Task[Report]] = {}
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

    async def report(self, question: Question) -> Report:
        """Return the report that answers a question, which is a frozen model.

        Raises `ReportPending`, `ReportFailed`, and `WrongState` where there is nothing to report.
        """
        kept = self._kept.get(question)
        if kept is not None and monotonic() - kept[0] < self.fresh_seconds:
            return kept[1]
        task = self._running.get(question)
        if task is None:
            task = asyncio.create_task(self._computed(question), name=self._module)
            self._running[question] = task
            task.add_done_callback(lambda done: self._ended(question, done))
        done, _ = await asyncio.wait((task,), timeout=PATIENCE_SECONDS)
        if not done:
            read, total = self._progress
            raise ReportPending(f"{read} of {total} decisions are read; ask again.")
        return task.result()

    def _ended(self, question: Question, task: asyncio.Task[Report]) -> None:
        self._running.pop(question, None)
        if not task.cancelled() and task.exception() is None:
            while len(self._kept) >= MOST_KEPT:
                del self._kept[min(self._kept, key=lambda key: self._kept[key][0])]
            self._kept[question] = (monotonic(), task.result())

    async def _computed(self, question: Question) -> Report:
        async with self._turn:
            self._progress = (0, 0)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE
            )
            try:
                return await self._followed(process, order_text(self._settings, question))
            finally:
                await end(process)

    async def _followed(self, process: Process, order: bytes) -> Report:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order)
        process.stdin.close()
        while line := await process.stdout.readline():
            told = orjson.loads(line)
            if "report" in told:
                return self._report.model_validate(told["report"])
            if "refused" in told:
                raise WrongState(told["refused"])
            if "error" in told:
                log.error("%s could not compute a report: %s", self._module, told["error"])
                raise ReportFailed
            self._progress = (told["done"], told["total"])
        log.error("%s ended without a report", self._module)
        raise ReportFailed
