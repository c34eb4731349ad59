"""People for tests: with the roles that a test names, let in by two admins as everybody is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.api_key import KeyHash, create_key
from service.people.first import first_people, has_people
from service.people.limits import EVERYTHING, Limits
from service.people.requests import decide, request_roles

ADMINS = ("first-admin", "second-admin")


async def person_key(
    connection: Any,
    hashed: KeyHash,
    person: str,
    *roles: str,
    limits: Limits = EVERYTHING,
    scopes: Iterable[str] = (),
) -> str:
    """Give a person these roles and return a key of theirs. `scopes` leaves the key only those.

    `connection` is an asyncpg connection to a migrated database, `hashed` the `KeyHash` of the
    service's tag key. `limits` go with the roles.
    """
    await give_roles(connection, person, *roles, limits=limits)
    return (await create_key(connection, hashed, f"key of {person}", scopes, person=person))[1]


async def give_roles(
    connection: Any, person: str, *roles: str, limits: Limits = EVERYTHING
) -> None:
    """Give a person these roles and no others; `person` is none of `ADMINS`."""
    if not await has_people(connection):
        await first_people(connection, {admin: ["admin"] for admin in ADMINS})
    request = await request_roles(
        connection, person=person, roles=roles, reason="a test", actor=ADMINS[0], limits=limits
    )
    await decide(connection, request, "approved", ADMINS[1])
