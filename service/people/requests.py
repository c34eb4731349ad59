"""How do roles change? One admin asks, another decides.

A request states all roles and limits that a person shall have. Invariant: what is in force is the
last approved request of a person; the database refuses what two people did not agree on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from service.people.errors import UnknownRoleRequest, people_errors
from service.people.first import make_person
from service.people.limits import EVERYTHING, Limits, limits_of

Decision = Literal["approved", "refused", "withdrawn"]
State = Literal["open", "lapsed", "approved", "refused", "withdrawn"]

# `lapsed`: the person's roles, or those of who asked, are not what they were. An approval would be
# refused (see people_decided in the migration).
_QUERY = """
    WITH request AS (
        SELECT r.*, d.actor, d.decided_at, coalesce(d.decision, CASE
            WHEN r.base IS NOT DISTINCT FROM
                    (SELECT request_id FROM person_grant WHERE person = r.person)
                AND people_is_admin(r.requested_by)
            THEN 'open' ELSE 'lapsed' END) AS state
        FROM role_request r LEFT JOIN role_decision d ON d.request_id = r.id
        WHERE $1::bigint IS NULL OR r.id = $1
    )
    SELECT * FROM request WHERE state = 'open' OR NOT $2 ORDER BY id DESC LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class RoleRequest:
    """What somebody shall be allowed to do, who asked for it and what became of it."""

    id: int
    person: str
    roles: tuple[str, ...]
    limits: Limits
    reason: str
    requested_by: str
    requested_at: datetime
    state: State
    decided_by: str | None
    decided_at: datetime | None


async def request_roles(
    connection: Any,
    *,
    person: str,
    roles: Iterable[str],
    reason: str,
    actor: str,
    limits: Limits = EVERYTHING,
) -> int:
    """Ask for all roles and limits that a person shall have; return the request's number.

    No roles take everything away. A person who does not exist is made, and may do nothing before
    the approval. Raises `NotAnAdmin`, `PersonInvalid` and `UnknownRole`.
    """
    with people_errors():
        await make_person(connection, person)
        return int(
            await connection.fetchval(
                "INSERT INTO role_request "
                "(person, roles, reason, requested_by, event_types, business_lines, regions) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                person,
                sorted(set(roles)),
                reason,
                actor,
                *limits.lists(),
            )
        )


async def decide(connection: Any, request_id: int, decision: Decision, actor: str) -> RoleRequest:
    """Approve, refuse or withdraw a request and return it; the connection is in a transaction.

    Raises `NotAnAdmin`, `OwnRoleRequest`, `RoleRequestLapsed`, `RoleRequestDecided`,
    `TooFewAdmins` and `UnknownRoleRequest`.
    """
    with people_errors():
        await connection.execute(
            "INSERT INTO role_decision (request_id, decision, actor) VALUES ($1, $2, $3)",
            request_id,
            decision,
            actor,
        )
        # Before the action is recorded, not when it is committed.
        await connection.execute("SET CONSTRAINTS role_decision_leaves_admins IMMEDIATE")
    return await role_request(connection, request_id)


async def role_request(connection: Any, request_id: int) -> RoleRequest:
    """Return a request. Raises `UnknownRoleRequest`."""
    rows = await connection.fetch(_QUERY, request_id, False, 1)
    if not rows:
        raise UnknownRoleRequest(f"There is no role request {request_id}.")
    return _from_row(rows[0])


async def role_requests(
    connection: Any, *, only_open: bool = False, limit: int = 200
) -> Sequence[RoleRequest]:
    """Return the newest requests, newest first; `only_open`: those that wait for a decision."""
    rows = await connection.fetch(_QUERY, None, only_open, limit)
    return [_from_row(row) for row in rows]


def _from_row(row: Any) -> RoleRequest:
    return RoleRequest(
        id=row["id"],
        person=row["person"],
        roles=tuple(row["roles"]),
        limits=limits_of(row["event_types"], row["business_lines"], row["regions"]),
        reason=row["reason"],
        requested_by=row["requested_by"],
        requested_at=row["requested_at"],
        state=row["state"],
        decided_by=row["actor"],
        decided_at=row["decided_at"],
    )
