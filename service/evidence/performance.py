"""How did the rules do? Computed in a process of its own, shared by all who ask at a time.

Invariant: whoever asks waits for some seconds at most; what takes longer goes on, and is there for
who asks again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self

import orjson

from service.clock import monotonic
from service.errors import Refused
from service.evidence.performance_child import order_text
from service.evidence.performance_report import PerformanceReport
from service.settings import Settings

PATIENCE_SECONDS = 15.0
# The figures of a month do not change within a minute.
FRESH_SECONDS = 60.0
STOP_SECONDS = 5.0
# A report of 1,000 rules over 90 days has 8 MB.
LONGEST_LINE = 64 << 20
MOST_KEPT = 8

log = logging.getLogger(__name__)


class PerformancePending(Refused):
    """It is being computed; ask again."""

    code = "performance_pending"


class PerformanceFailed(Refused):
    """It could not be computed: the log says why."""

    code = "performance_failed"


class _Asked(NamedTuple):
    live: str
    days: int
    recent_hours: int


class Performance:
    """Reports of this worker; use as an async context manager."""

    def __init__(self, settings: Settings, live: Callable[[], str]) -> None:
        """`live` gives the version of the rule set that is live when somebody asks."""
        self._settings = settings
        self._live = live
        self._kept: dict[_Asked, tuple[float, PerformanceReport]] = {}
        self._running: dict[_Asked, asyncio.Task[PerformanceReport]] = {}
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

    async def report(self, days: int, recent_hours: int) -> PerformanceReport:
        """Return the report on these days. Raises `PerformancePending` and `PerformanceFailed`."""
        asked = _Asked(self._live(), days, recent_hours)
        kept = self._kept.get(asked)
        if kept is not None and monotonic() - kept[0] < FRESH_SECONDS:
            return kept[1]
        task = self._running.get(asked)
        if task is None:
            task = asyncio.create_task(self._computed(asked), name="performance")
            self._running[asked] = task
            task.add_done_callback(lambda done: self._ended(asked, done))
        done, _ = await asyncio.wait((task,), timeout=PATIENCE_SECONDS)
        if not done:
            read, total = self._progress
            raise PerformancePending(f"{read} of {total} decisions are read; ask again.")
        return task.result()

    def _ended(self, asked: _Asked, task: asyncio.Task[PerformanceReport]) -> None:
        self._running.pop(asked, None)
        if not task.cancelled() and task.exception() is None:
            while len(self._kept) >= MOST_KEPT:
                del self._kept[min(self._kept, key=lambda key: self._kept[key][0])]
            self._kept[asked] = (monotonic(), task.result())

    async def _computed(self, asked: _Asked) -> PerformanceReport:
        async with self._turn:
            self._progress = (0, 0)
            text = order_text(self._settings, *_order(asked))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "service.evidence.performance_child",
                stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE,
            )  # fmt: skip
            try:
                return await self._followed(process, text)
            finally:
                await _stopped(process)

    async def _followed(self, process: Process, text: bytes) -> PerformanceReport:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text)
        process.stdin.close()
        while line := await process.stdout.readline():
            told = orjson.loads(line)
            if "report" in told:
                return PerformanceReport.model_validate(told["report"])
            if "error" in told:
                log.error("the performance of rules could not be computed: %s", told["error"])
                raise PerformanceFailed
            self._progress = (told["done"], told["total"])
        log.error("the process that computes the performance of rules ended by itself")
        raise PerformanceFailed


def _order(asked: _Asked) -> tuple[str, datetime, int, int]:
    return asked.live, datetime.now(UTC), asked.days, asked.recent_hours


async def _stopped(process: Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
