"""Who are the first people?

Everybody after them is let in by two admins. Invariant: this happens once in the life of a
database, and leaves at least two admins; the database sees to both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from service.people.errors import people_errors

ADMIN = "admin"
SYSTEM = "system"
REASON = "first people"


async def first_people(connection: Any, people: Mapping[str, Iterable[str]]) -> None:
    """Make people with their roles where there are none, at least two of them admins.

    `connection` is an asyncpg connection, best in the transaction of an `Action`. Raises
    `PeopleExist`, `TooFewAdmins`, `PersonInvalid` and `UnknownRole`.

    `await first_people(connection, {"ana": ["admin"], "bo": ["admin", "analyst"]})`
    """
    with people_errors():
        async with connection.transaction():
            await connection.execute("INSERT INTO people_start DEFAULT VALUES")
            for person, roles in people.items():
                await make_person(connection, person)
                request_id = await connection.fetchval(
                    "INSERT INTO role_request (person, roles, reason, requested_by) "
                    "VALUES ($1, $2, $3, $4) RETURNING id",
                    person,
                    sorted(set(roles)),
                    REASON,
                    SYSTEM,
                )
                await connection.execute(
                    "INSERT INTO role_decision (request_id, decision, actor) "
                    "VALUES ($1, 'approved', $2)",
                    request_id,
                    SYSTEM,
                )
            await connection.execute("SET CONSTRAINTS people_start_has_admins IMMEDIATE")


async def has_people(connection: Any) -> bool:
    """Say whether there were first people."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM people_start)"))


async def make_person(connection: Any, person: str) -> None:
    """Make a person who may do nothing; one that exists stays as it is. Raises `PersonInvalid`."""
    with people_errors():
        await connection.execute(
            "INSERT INTO person (id) VALUES ($1) ON CONFLICT DO NOTHING", person
        )
