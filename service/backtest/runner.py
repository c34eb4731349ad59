"""Who runs the backtests that were asked for? One worker of the service, in a child process.

Invariant: a job that was claimed here ends here: done, failed, cancelled, or put back when the
service stops; if this process dies, another gives the job up by its silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process
from types import TracebackType
from typing import Any, Self

import asyncpg
import orjson

from service.actions import SYSTEM, Actions
from service.backtest.child import order_text
from service.backtest.jobs import (
    CHANNEL,
    Job,
    beat,
    claim,
    end_job,
    needs_runner,
    put_back,
)
from service.backtest.result import digest_of
from service.changes import Changes
from service.children import end
from service.errors import Refused
from service.ledger.errors import LedgerError
from service.rule_sets.store import read_files
from service.settings import Settings

COMMAND = ("-m", "service.backtest.child")
BEAT_SECONDS = 0.5
# A year of a large shop; what takes longer hinders all that wait.
LONGEST_SECONDS = 6 * 3600.0
# A result has 50 to 500 KB.
LONGEST_LINE = 64 << 20

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Somebody asked for the job to end."""


class Failed(Exception):
    """The job cannot be done; the text says why."""


class BacktestRunner:
    """Runs one job at a time; use as an async context manager."""

    def __init__(self, settings: Settings, actions: Actions, changes: Changes) -> None:
        self._settings = settings
        self._actions = actions
        self._changes = changes
        self._is_ending = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._changes.follow(CHANNEL, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _look(self, connection: Any) -> None:
        """Claim a job if one waits; called after every change and twice a second."""
        if self._is_ending or (self._task is not None and not self._task.done()):
            return
        if not await needs_runner(connection):
            return
        job = await claim(connection)
        if job is not None:
            self._task = asyncio.create_task(self._run(job), name="backtest")

    async def _run(self, job: Job) -> None:
        try:
            async with self._actions.connection() as connection:
                await self._finish(connection, job)
        except (Refused, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # Without the database nothing can be said of the job; its silence will.
            log.warning("the backtest %s was left: %s", job.id, error)

    async def _finish(self, connection: Any, job: Job) -> None:
        try:
            result = await self._result(connection, job)
            await self._done(job, result)
        except asyncio.CancelledError:
            await put_back(connection, job.id)
            raise
        except Cancelled:
            await end_job(connection, job.id, "cancelled")
        except (Failed, Refused, LedgerError) as error:
            await end_job(connection, job.id, "failed", error=str(error))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            raise
        except Exception:
            log.exception("the backtest %s failed", job.id)
            await end_job(connection, job.id, "failed", error="An error of ours; see the log.")

    async def _done(self, job: Job, result: dict[str, Any]) -> None:
        """Keep the result, and put on record which it was."""
        async with self._actions.action(
            "rules.backtest_done",
            {"actor": SYSTEM},
            backtest=str(job.id),
            version=job.version,
            baseline=job.baseline,
            catalog=job.catalog,
            result_sha256=digest_of(result),
        ) as action:
            if not await end_job(
                action.connection, job.id, "done", result=orjson.dumps(result).decode()
            ):
                raise Failed("the job was ended by somebody else")

    async def _result(self, connection: Any, job: Job) -> dict[str, Any]:
        candidate = await read_files(connection, job.version)
        baseline = await read_files(connection, job.baseline)
        text = order_text(self._settings, job.request, dict(candidate.texts), dict(baseline.texts))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *COMMAND,
            stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                return await self._followed(connection, job, process, text)
        except TimeoutError:
            raise Failed("It took longer than six hours: choose a shorter time.") from None
        finally:
            await end(process)  # its own children follow: nobody reads their pipes

    async def _followed(
        self, connection: Any, job: Job, process: Process, text: bytes
    ) -> dict[str, Any]:
        """Pass on what the process says until its result; raises `Cancelled` and `Failed`."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text)
        process.stdin.close()
        done, total = 0, None
        line: asyncio.Task[bytes] | None = None
        result: dict[str, Any] | None = None
        said_at = 0.0
        try:
            while True:
                line = line or asyncio.ensure_future(process.stdout.readline())
                await asyncio.wait((line,), timeout=BEAT_SECONDS)
                if line.done():
                    raw, line = line.result(), None
                    if not raw:
                        raise Failed("Its process ended by itself: was it killed?")
                    told = orjson.loads(raw)
                    if "error" in told:
                        raise Failed(told["error"])
                    if "result" not in told:
                        done, total = told.get("done", done), told.get("total", total)
                    result = told.get("result")
                now = asyncio.get_running_loop().time()
                if result is not None or now - said_at >= BEAT_SECONDS:
                    said_at = now
                    if not await beat(connection, job.id, done, total):
                        raise Cancelled
                if result is not None:
                    return result
        finally:
            if line is not None:
                line.cancel()
