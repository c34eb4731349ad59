"""Which packages are to be built, are under way, or lie ready? The table `export_job`.

Invariants: a package is built by one process at a time and one package at a time; what has expired
has no key any more (the database sees to it).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from service.audit.exports.errors import (
    ExportNotAllowed,
    PackageNotHere,
    TooManyExports,
    WrongExportState,
)
from service.audit.exports.requests import Export, read_export
from service.audit.package.build import Package
from service.audit.package.members import Member

CHANNEL = "touchstone_exports"
# Whoever builds says so twice a second; after this time without a word the job is given up.
SILENT_SECONDS = 20.0
MOST_QUEUED = 20
_SILENT = "The process that built it ended by itself: `ledger export retry` begins again."
_LOCK = 0x74736578  # any number that nobody else locks

_CLAIM = """
UPDATE export_job SET state = 'running', heartbeat_at = now(), done = 0, error = NULL, node = $1,
    attempt = attempt + 1
WHERE export_id = (
    SELECT export_id FROM export_job WHERE state = 'queued' AND NOT EXISTS (
        SELECT FROM export_job WHERE state = 'running'
    ) ORDER BY created_at, export_id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING export_id
"""
_GIVE_UP = """
UPDATE export_job SET state = CASE WHEN is_cancelled THEN 'cancelled' ELSE 'failed' END,
    error = CASE WHEN is_cancelled THEN NULL ELSE $2 END, ended_at = now()
WHERE state = 'running' AND heartbeat_at < now() - make_interval(secs => $1)
"""
_NEEDS_RUNNER = """
SELECT EXISTS (SELECT FROM export_job WHERE state = 'queued'
    OR (state = 'running' AND heartbeat_at < now() - make_interval(secs => $1)))
"""
_BEAT = """
UPDATE export_job SET heartbeat_at = now(), done = $2
WHERE export_id = $1 AND state = 'running' RETURNING is_cancelled
"""
# Whoever cancels after the last beat, as an erasure does, is not too late.
_READY = """
UPDATE export_job SET state = 'ready', wrapped = $2, members = $3, bytes = $4, manifest = $5,
    done = $6, ended_at = now(), expires_at = now() + make_interval(hours => $7)
WHERE export_id = $1 AND state = 'running' AND NOT is_cancelled
"""
_END = """
UPDATE export_job SET state = CASE WHEN is_cancelled THEN 'cancelled' ELSE $2 END,
    error = CASE WHEN is_cancelled THEN NULL ELSE $3 END, ended_at = now()
WHERE export_id = $1 AND state = 'running'
"""
_PUT_BACK = """
UPDATE export_job SET state = 'queued', done = 0, heartbeat_at = NULL
WHERE export_id = $1 AND state = 'running'
"""
_CANCEL = """
UPDATE export_job SET is_cancelled = true,
    ended_at = CASE state WHEN 'queued' THEN now() ELSE ended_at END,
    state = CASE state WHEN 'queued' THEN 'cancelled' WHEN 'ready' THEN 'expired' ELSE state END
WHERE export_id = $1 AND state IN ('queued', 'running', 'ready')
"""
_RETRY = """
UPDATE export_job SET state = 'queued', done = 0, error = NULL, ended_at = NULL
WHERE export_id = $1 AND state = 'failed'
"""
_DUE = "SELECT export_id FROM export_job WHERE state = 'ready' AND expires_at <= now()"
_EXPIRE = "UPDATE export_job SET state = 'expired' WHERE export_id = $1 AND state = 'ready'"
_HERE = """
SELECT export_id, attempt FROM export_job WHERE node = $1 AND state IN ('running', 'ready')
"""


@dataclass(frozen=True, slots=True)
class ReadyPackage:
    """Where a package lies and how it is opened."""

    export_id: UUID
    attempt: int
    members: list[Member]
    size: int
    manifest: bytes
    wrapped: bytes
    expires_at: datetime

    @property
    def etag(self) -> str:
        """What tells this package from another attempt (RFC 9110, a strong one)."""
        return f'"{self.manifest.hex()[:32]}-{self.attempt}"'


async def check_room(connection: Any) -> None:
    """Raise `TooManyExports` when more packages wait than will be built soon."""
    waiting = await connection.fetchval("SELECT count(*) FROM export_job WHERE state = 'queued'")
    if waiting >= MOST_QUEUED:
        raise TooManyExports(
            f"{waiting} packages wait, and one is built at a time: cancel some, or ask again later."
        )


async def ready_package(connection: Any, export_id: UUID, node: str) -> ReadyPackage:
    """Return a package that lies here.

    Raises `UnknownExport`, `WrongExportState` and `PackageNotHere`.
    """
    export = await read_export(connection, export_id)
    row = await connection.fetchrow(
        "SELECT * FROM export_job WHERE export_id = $1 AND state = 'ready' AND expires_at > now()",
        export_id,
    )
    if row is None:
        state = "expired" if export.state == "ready" else export.state
        raise WrongExportState(f"The export is {state}: there is no package.")
    if row["node"] != node:
        raise PackageNotHere(f"The package was built on {row['node']}: fetch it there.")
    return ReadyPackage(
        export_id,
        row["attempt"],
        [Member(*one) for one in orjson.loads(row["members"])],
        row["bytes"],
        row["manifest"],
        row["wrapped"],
        row["expires_at"],
    )


async def cancel(connection: Any, export: Export, actor: str) -> None:
    """Cancel a package that waits or lies ready, or ask who builds it to stop.

    Raises `ExportNotAllowed` for anybody but the two people of the export, `WrongExportState`.
    """
    if actor not in (export.requested_by, export.decided_by):
        raise ExportNotAllowed("Only who asked for it or approved it can cancel it.")
    if await connection.execute(_CANCEL, export.id) == "UPDATE 0":
        raise WrongExportState(f"The export is {export.state}: there is nothing to cancel.")


async def retry(connection: Any, export: Export, actor: str) -> None:
    """Queue a package again whose building failed. Raises as `cancel`."""
    if actor != export.requested_by:
        raise ExportNotAllowed("Only who asked for it can have it built again.")
    await check_room(connection)
    if await connection.execute(_RETRY, export.id) == "UPDATE 0":
        raise WrongExportState(f"The export is {export.state}, not failed.")


async def claim(connection: Any, node: str) -> Export | None:
    """Return the oldest export that waits, as its only builder; None: nothing is to be begun."""
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return None
        await connection.execute(_GIVE_UP, SILENT_SECONDS, _SILENT)
        export_id = await connection.fetchval(_CLAIM, node)
        return None if export_id is None else await read_export(connection, export_id)


async def needs_runner(connection: Any) -> bool:
    """Say whether anything waits, or is built by somebody who is silent."""
    return bool(await connection.fetchval(_NEEDS_RUNNER, SILENT_SECONDS))


async def beat(connection: Any, export_id: UUID, done: int) -> bool:
    """Say how far a package is; return False when its builder must stop."""
    row = await connection.fetchrow(_BEAT, export_id, done)
    return row is not None and not row["is_cancelled"]


async def keep_ready(
    connection: Any, export: Export, wrapped: bytes, package: Package, hours: int
) -> bool:
    """Keep a package that was built; False when somebody else ended or cancelled the job."""
    status = await connection.execute(
        _READY,
        export.id,
        wrapped,
        orjson.dumps([tuple(member) for member in package.members]).decode(),
        package.size,
        package.manifest,
        package.entries,
        hours,
    )
    return bool(status != "UPDATE 0")


async def end_job(connection: Any, export_id: UUID, state: str, error: str | None = None) -> None:
    """Bring a running job to an end without a package."""
    await connection.execute(_END, export_id, state, error)


async def put_back(connection: Any, export_id: UUID) -> None:
    """Let another process build it from the start, as this one stops in an orderly way."""
    await connection.execute(_PUT_BACK, export_id)


async def due(connection: Any) -> list[UUID]:
    """Return the packages whose time is over."""
    return [row["export_id"] for row in await connection.fetch(_DUE)]


async def expire(connection: Any, export_id: UUID) -> bool:
    """Let a package expire, its key with it; False when it has."""
    return bool(await connection.execute(_EXPIRE, export_id) != "UPDATE 0")


async def here(connection: Any, node: str) -> set[str]:
    """Return the names of the directories that belong to a package, of those on this node."""
    return {directory_name(row["export_id"], row["attempt"]) for row in await connection.fetch(
        _HERE, node
    )}  # fmt: skip


def directory_name(export_id: UUID, attempt: int) -> str:
    """Return where under VAR/exports an attempt lies."""
    return f"{export_id}-{attempt}"
