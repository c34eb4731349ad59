"""Who asks for which part of the record, why, and what did somebody else say to it?

One person asks, another approves or refuses. Invariant: what is asked for is settled when it is
asked for (leaves of the tree, blocks, types), so who approves knows exactly what; the database
refuses what two people did not agree on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from service.audit.exports.errors import UnknownExport, export_errors
from service.audit.exports.range import ExportRange

Decision = Literal["approved", "refused", "withdrawn"]
MOST_LISTED = 200

_QUERY = """
    SELECT x.*, d.decision, d.actor AS decided_by, d.reason, d.decided_at,
        j.state AS job_state, j.done, j.attempt, j.error, j.node, j.bytes, j.manifest,
        j.is_cancelled, j.ended_at, j.expires_at
    FROM export x
    LEFT JOIN export_decision d ON d.export_id = x.id
    LEFT JOIN export_job j ON j.export_id = x.id
"""
_INSERT = """
    INSERT INTO export
        (id, first, last, since, until, earlier, blocks, types, purpose, role, requested_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'auditor', $10)
"""


@dataclass(frozen=True, slots=True)
class Export:
    """A request, what was decided on it, and how far its package is.

    `state`: requested, refused, withdrawn, or that of the job: queued, running, ready, failed,
    cancelled, expired. `done` of `entries` are in the package.
    """

    id: UUID
    first: int
    last: int
    since: datetime | None
    until: datetime | None
    earlier: tuple[int, ...]
    blocks: tuple[str, ...]
    types: tuple[str, ...] | None
    purpose: str
    role: str
    requested_by: str
    requested_at: datetime
    state: str
    decided_by: str | None
    reason: str | None
    decided_at: datetime | None
    done: int
    attempt: int
    error: str | None
    node: str | None
    size: int | None
    manifest: bytes | None
    ended_at: datetime | None
    expires_at: datetime | None

    @property
    def entries(self) -> int:
        """How many entries are in the range."""
        return self.last - self.first


async def request_export(
    connection: Any,
    wanted: ExportRange,
    *,
    blocks: Sequence[str],
    types: Sequence[str] | None,
    purpose: str,
    actor: str,
) -> Export:
    """Ask for an export. Raises `ExportNotAllowed`."""
    export_id = uuid4()
    with export_errors():
        await connection.execute(
            _INSERT,
            export_id,
            wanted.first,
            wanted.last,
            wanted.since,
            wanted.until,
            list(wanted.earlier),
            sorted(set(blocks)),
            None if types is None else sorted(set(types)),
            purpose,
            actor,
        )
    return await read_export(connection, export_id)


async def decide(
    connection: Any, export_id: UUID, decision: Decision, actor: str, reason: str = ""
) -> Export:
    """Approve, refuse or withdraw a request; an approved one is queued to be built.

    Raises `UnknownExport`, `OwnExport`, `ExportDecided`, `ExportNotAllowed`, `WrongExportState`.
    """
    with export_errors():
        await connection.execute(
            "INSERT INTO export_decision (export_id, decision, actor, reason) "
            "VALUES ($1, $2, $3, $4)",
            export_id,
            decision,
            actor,
            reason,
        )
        if decision == "approved":
            await connection.execute(
                "INSERT INTO export_job (export_id, state) VALUES ($1, 'queued')", export_id
            )
    return await read_export(connection, export_id)


async def read_export(connection: Any, export_id: UUID) -> Export:
    """Return an export. Raises `UnknownExport`."""
    row = await connection.fetchrow(f"{_QUERY} WHERE x.id = $1", export_id)
    if row is None:
        raise UnknownExport(f"There is no export {export_id}.")
    return _export(row)


async def exports(connection: Any, limit: int = MOST_LISTED) -> list[Export]:
    """Return the newest exports, newest first."""
    rows = await connection.fetch(f"{_QUERY} ORDER BY x.requested_at DESC, x.id LIMIT $1", limit)
    return [_export(row) for row in rows]


def _export(row: Any) -> Export:
    decision = row["decision"]
    state = "requested" if decision is None else decision if decision != "approved" else None
    return Export(
        id=row["id"],
        first=row["first"],
        last=row["last"],
        since=row["since"],
        until=row["until"],
        earlier=tuple(row["earlier"]),
        blocks=tuple(row["blocks"]),
        types=None if row["types"] is None else tuple(row["types"]),
        purpose=row["purpose"],
        role=row["role"],
        requested_by=row["requested_by"],
        requested_at=row["requested_at"],
        state=state or row["job_state"],
        decided_by=row["decided_by"],
        reason=row["reason"] or None,
        decided_at=row["decided_at"],
        done=row["done"] or 0,
        attempt=row["attempt"] or 0,
        error=row["error"],
        node=row["node"],
        size=row["bytes"],
        manifest=row["manifest"],
        ended_at=row["ended_at"],
        expires_at=row["expires_at"],
    )
