"""How is a person restricted or erased? One of compliance asks, another decides.

From the asking on nobody reads the person's entries. Invariant: the database refuses what two
people did not agree on; a request that is decided names nobody any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from service.rights.erasing import keys_of, retire, take_turn, unlist
from service.rights.errors import ErasureIncomplete, UnknownRightsRequest, rights_errors
from service.rights.journal import Digests, JournalFile, Record, add_records

Kind = Literal["erase", "restrict"]
State = Literal["open", "executing", "executed", "refused", "lifted"]

_ADD = """
INSERT INTO rights_request (kind, tags, requested_by, entry_id) VALUES ($1, $2, $3, $4)
RETURNING id
"""
_QUERY = """
SELECT * FROM rights_request
WHERE ($1::bigint IS NULL OR id = $1) AND (NOT $2 OR state IN ('open', 'executing'))
ORDER BY id DESC LIMIT $3
"""
_LOCK = "SELECT * FROM rights_request WHERE id = $1 FOR UPDATE"
_DECIDE = """
UPDATE rights_request SET state = $2, decided_by = $3, decided_at = clock_timestamp(), tags = '{}'
WHERE id = $1
"""
_EXECUTE = """
UPDATE rights_request SET state = 'executing', decided_by = $2, decided_at = clock_timestamp(),
    erased_until = date_trunc('second', clock_timestamp())
WHERE id = $1 RETURNING erased_until
"""


@dataclass(frozen=True, slots=True)
class RightsRequest:
    """What is asked for about one person; `tags` (`kind:tag`) only as long as it is open."""

    id: int
    kind: Kind
    state: State
    tags: tuple[str, ...]
    requested_by: str
    requested_at: datetime
    entry_id: bytes
    decided_by: str | None
    decided_at: datetime | None
    erased_until: datetime | None
    counts: Mapping[str, int]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of identifiers that the person has in the request, which tell nothing."""
        return tuple(sorted(tag.partition(":")[0] for tag in self.tags))


async def ask(
    connection: Any, kind: Kind, tags: Sequence[str], actor: str, entry_id: bytes
) -> RightsRequest:
    """Ask for a person to be restricted or erased, which restricts at once; return the request.

    `entry_id`: of the ledger entry that records it, with the purpose. Raises `NotCompliance`.
    """
    with rights_errors():
        request_id = await connection.fetchval(_ADD, kind, sorted(set(tags)), actor, entry_id)
    return await rights_request(connection, request_id)


async def decide(
    connection: Any, request_id: int, state: Literal["refused", "lifted"], actor: str
) -> RightsRequest:
    """Refuse an erasure or lift a restriction: the entries may be read again.

    Raises `OwnRightsRequest`, `RightsRequestDecided`, `NotCompliance`, `UnknownRightsRequest`.
    """
    await _locked(connection, request_id)
    with rights_errors():
        await connection.execute(_DECIDE, request_id, state, actor)
    # What was kept because of the request may be past its time: look at all days again.
    await connection.execute("DELETE FROM retention_mark WHERE block IN ('subject', 'core')")
    return await rights_request(connection, request_id)


async def begin_erasure(
    connection: Any, request_id: int, actor: str, digests: Digests, file: JournalFile
) -> tuple[RightsRequest, int]:
    """Begin to erase a person; return the request and how many keys are retired.

    `service/rights/finishing.py` brings it to its end, two seconds later. The journal has it
    before this is committed. Raises as `decide`, and `ErasureIncomplete`.
    """
    asked = await _locked(connection, request_id)
    with rights_errors():
        until: datetime = await connection.fetchval(_EXECUTE, request_id, actor)
    await take_turn(connection)
    keys = await keys_of(connection, asked.tags, until)
    await retire(connection, keys)
    await unlist(connection, asked.tags, actor)
    records = [Record(digests.of(tag), until) for tag in asked.tags]
    await add_records(connection, records)
    try:
        file.add(records)
    except OSError as error:
        raise ErasureIncomplete(f"The journal cannot be written: {error.strerror}.") from None
    return await rights_request(connection, request_id), len(keys)


async def rights_request(connection: Any, request_id: int) -> RightsRequest:
    """Return a request. Raises `UnknownRightsRequest`."""
    rows = await connection.fetch(_QUERY, request_id, False, 1)
    if not rows:
        raise UnknownRightsRequest(f"There is no request {request_id}.")
    return _from_row(rows[0])


async def rights_requests(
    connection: Any, *, only_open: bool = False, limit: int = 200
) -> list[RightsRequest]:
    """Return the newest requests, newest first; `only_open`: those that are not at their end."""
    return [_from_row(row) for row in await connection.fetch(_QUERY, None, only_open, limit)]


async def _locked(connection: Any, request_id: int) -> RightsRequest:
    row = await connection.fetchrow(_LOCK, request_id)
    if row is None:
        raise UnknownRightsRequest(f"There is no request {request_id}.")
    return _from_row(row)


def _from_row(row: Any) -> RightsRequest:
    counts = row["counts"]
    return RightsRequest(
        id=row["id"],
        kind=row["kind"],
        state=row["state"],
        tags=tuple(row["tags"]),
        requested_by=row["requested_by"],
        requested_at=row["requested_at"],
        entry_id=row["entry_id"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        erased_until=row["erased_until"],
        counts=orjson.loads(counts) if isinstance(counts, str) else counts,
    )
