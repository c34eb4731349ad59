"""Whose entries may nobody read?

Those of persons with an open request: from the moment somebody asks until somebody else decides.
Invariant: whatever opens subject blocks for people to see asks here, in the same transaction as it
reads, and says `restricted` instead.
"""

from __future__ import annotations

from typing import Any

_ALL = "SELECT subject_tag FROM restricted_subject"
_ONE = "SELECT EXISTS (SELECT FROM restricted_subject WHERE subject_tag = $1)"


async def restricted_tags(connection: Any) -> frozenset[str]:
    """Return the subject tags (`kind:tag`) whose entries may not be read.

    The tag of an entry is that of its row in `subject_key`. Raises what asyncpg raises.
    """
    return frozenset(row["subject_tag"] for row in await connection.fetch(_ALL))


async def is_restricted(connection: Any, subject_tag: str) -> bool:
    """Say whether the entries of this person may not be read. Raises what asyncpg raises."""
    return bool(await connection.fetchval(_ONE, subject_tag))
