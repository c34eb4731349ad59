"""Who runs the backtests that were asked for? One worker of the service, in a child process.

Invariant: a result is kept together with the record of which it was.
"""

from __future__ import annotations

from typing import Any

import orjson

from service.actions import SYSTEM
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
from service.job_runner import JobFailed, JobRunner, Said
from service.rule_sets.store import read_files

COMMAND = ("-m", "service.backtest.child")


class BacktestRunner(JobRunner[Job]):
    """Runs one job at a time; use as an async context manager."""

    kind = "backtest"
    channel = CHANNEL
    too_long = "It took longer than six hours: choose a shorter time."

    async def _claim(self, connection: Any) -> Job | None:
        return await claim(connection) if await needs_runner(connection) else None

    async def _do(self, connection: Any, job: Job) -> None:
        """Compute the result, keep it, and put on record which it was."""
        result = await self._result(connection, job)
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
                raise JobFailed("the job was ended by somebody else")

    async def _result(self, connection: Any, job: Job) -> dict[str, Any]:
        candidate = await read_files(connection, job.version)
        baseline = await read_files(connection, job.baseline)
        text = order_text(self._settings, job.request, dict(candidate.texts), dict(baseline.texts))
        result: dict[str, Any] = await self._answer(connection, job, COMMAND, text, "result")
        return result

    async def _beat(self, connection: Any, job: Job, said: Said) -> bool:
        return await beat(connection, job.id, said.get("done", 0), said.get("total"))

    async def _end(self, connection: Any, job: Job, state: str, error: str | None) -> None:
        await end_job(connection, job.id, state, error=error)

    async def _put_back(self, connection: Any, job: Job) -> None:
        await put_back(connection, job.id)
