"""Who is there, with which roles, within which limits?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.people.limits import Limits, limits_of
from service.people.roles import scopes_of

_QUERY = """
    SELECT p.id, p.created_at, g.roles, g.event_types, g.business_lines, g.regions,
        (SELECT count(*) FROM api_key k WHERE k.person = p.id AND k.revoked_at IS NULL) AS keys
    FROM person p LEFT JOIN person_grant g ON g.person = p.id
    ORDER BY p.id
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, and what is in force for them. `keys`: how many good API keys they have."""

    id: str
    created_at: datetime
    roles: tuple[str, ...]
    limits: Limits
    keys: int

    @property
    def scopes(self) -> frozenset[str]:
        """What the roles allow."""
        return scopes_of(self.roles)


async def list_people(connection: Any) -> list[Person]:
    """Return everybody by id, those without roles too."""
    return [
        Person(
            id=row["id"],
            created_at=row["created_at"],
            roles=tuple(row["roles"] or ()),
            limits=limits_of(row["event_types"], row["business_lines"], row["regions"]),
            keys=row["keys"],
        )
        for row in await connection.fetch(_QUERY)
    ]
