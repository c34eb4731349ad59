"""Which backtests are asked for, under way and done? The table `backtest`.

Invariants: a job is run by one process at a time and one job at a time; what ended stays as it
ended (the database sees to it).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from service.errors import Refused

CHANNEL = "touchstone_backtests"
# Whoever runs a job says so twice a second; after this time without a word it is given up.
SILENT_SECONDS = 20
ENDED = ("done", "failed", "cancelled")
MOST_QUEUED = 20

_ROW = (
    "id, version, baseline, catalog, request, state, done, total, is_cancelled, error, actor, "
    "created_at, ended_at"
)
_CLAIM = f"""
UPDATE backtest SET state = 'running', heartbeat_at = now(), done = 0, total = NULL
WHERE id = (
    SELECT id FROM backtest WHERE state = 'queued' AND NOT EXISTS (
        SELECT FROM backtest WHERE state = 'running'
    ) ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING {_ROW}
"""  # noqa: S608 - a constant
_GIVE_UP = """
UPDATE backtest SET state = 'failed', ended_at = now(), error = $2
WHERE state = 'running'
    AND coalesce(heartbeat_at, created_at) < now() - make_interval(secs => $1)
"""
_SILENT = "The process that ran it ended before it was done. Start it again."
_LOCK = 0x7473626163  # any number that nobody else locks


class UnknownBacktest(Refused):
    """There is no backtest with this id."""

    code = "unknown_backtest"


class TooManyBacktests(Refused):
    """More backtests wait than will be done soon."""

    code = "too_many_backtests"


class NoResult(Refused):
    """The backtest has no result (yet)."""

    code = "no_result"


@dataclass(frozen=True, slots=True)
class Job:
    """A row, without its result."""

    id: UUID
    version: str
    baseline: str
    catalog: str
    request: dict[str, Any]
    state: str
    done: int
    total: int | None
    is_cancelled: bool
    error: str | None
    actor: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


async def add_job(connection: Any, job: Job) -> None:
    """Queue a job. Raises `TooManyBacktests`."""
    waiting = await connection.fetchval("SELECT count(*) FROM backtest WHERE state = 'queued'")
    if waiting >= MOST_QUEUED:
        raise TooManyBacktests
    await connection.execute(
        "INSERT INTO backtest (id, version, baseline, catalog, request, state, actor) "
        "VALUES ($1, $2, $3, $4, $5, 'queued', $6)",
        job.id,
        job.version,
        job.baseline,
        job.catalog,
        orjson.dumps(job.request).decode(),
        job.actor,
    )


async def read_job(connection: Any, job_id: UUID) -> Job:
    """Return a job. Raises `UnknownBacktest`."""
    row = await connection.fetchrow(f"SELECT {_ROW} FROM backtest WHERE id = $1", job_id)  # noqa: S608 - a constant
    if row is None:
        raise UnknownBacktest
    return _job(row)


async def jobs_of(connection: Any, version: str, limit: int) -> list[Job]:
    """Return the backtests of a version, the newest first."""
    rows = await connection.fetch(
        f"SELECT {_ROW} FROM backtest WHERE version = $1 ORDER BY created_at DESC LIMIT $2",  # noqa: S608 - a constant
        version,
        limit,
    )
    return [_job(row) for row in rows]


async def read_result(connection: Any, job_id: UUID) -> dict[str, Any]:
    """Return the result of a job that is done. Raises `UnknownBacktest` and `NoResult`."""
    row = await connection.fetchrow("SELECT state, result FROM backtest WHERE id = $1", job_id)
    if row is None:
        raise UnknownBacktest
    if row["result"] is None:
        raise NoResult(f"The backtest is {row['state']}.")
    result: dict[str, Any] = orjson.loads(row["result"])
    return result


async def ask_to_cancel(connection: Any, job_id: UUID) -> Job:
    """Cancel a job that waits, or ask who runs it to stop; raises `UnknownBacktest`."""
    await connection.execute(
        "UPDATE backtest SET is_cancelled = true, "
        "ended_at = CASE state WHEN 'queued' THEN now() END, "
        "state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END "
        "WHERE id = $1 AND state IN ('queued', 'running')",
        job_id,
    )
    return await read_job(connection, job_id)


async def claim(connection: Any) -> Job | None:
    """Return the oldest job that waits, as its only runner; None: there is none, or one runs."""
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return None
        await connection.execute(_GIVE_UP, float(SILENT_SECONDS), _SILENT)
        row = await connection.fetchrow(_CLAIM)
    return None if row is None else _job(row)


async def needs_runner(connection: Any) -> bool:
    """Say whether anything waits or runs: one look-up in a small index."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM backtest WHERE state = 'queued' OR (state = 'running' "
            "AND coalesce(heartbeat_at, created_at) < now() - make_interval(secs => $1)))",
            float(SILENT_SECONDS),
        )
    )


async def beat(connection: Any, job_id: UUID, done: int, total: int | None) -> bool:
    """Say how far a job is; return False when its runner must stop."""
    row = await connection.fetchrow(
        "UPDATE backtest SET heartbeat_at = now(), done = $2, total = $3 "
        "WHERE id = $1 AND state = 'running' RETURNING is_cancelled",
        job_id,
        done,
        total,
    )
    return row is not None and not row["is_cancelled"]


async def end_job(
    connection: Any,
    job_id: UUID,
    state: str,
    *,
    result: str | None = None,
    error: str | None = None,
) -> bool:
    """Bring a running job to its end; False when somebody else ended it."""
    status = await connection.execute(
        "UPDATE backtest SET state = $2, result = $3, error = $4, ended_at = now() "
        "WHERE id = $1 AND state = 'running'",
        job_id,
        state,
        result,
        error,
    )
    return bool(status != "UPDATE 0")


async def put_back(connection: Any, job_id: UUID) -> None:
    """Let another process run a job from the start, as this one stops in an orderly way."""
    await connection.execute(
        "UPDATE backtest SET state = 'queued', done = 0, total = NULL, heartbeat_at = NULL "
        "WHERE id = $1 AND state = 'running'",
        job_id,
    )


def _job(row: Any) -> Job:
    return Job(**{**dict(row), "request": orjson.loads(row["request"])})
