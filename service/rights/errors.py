"""What can go wrong with requests about persons?

The database refuses; here its refusals become errors. Invariant: each SQLSTATE that
`0014_rights.sql` raises has one error, but TSR04: nothing of ours may ask for that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import asyncpg

from service.errors import Refused


class OwnRightsRequest(Refused):
    """Nobody decides on what they asked for."""

    code = "own_rights_request"


class RightsRequestDecided(Refused):
    """The request is in another state than it takes."""

    code = "rights_request_decided"


class NotCompliance(Refused):
    """Only compliance asks for this and decides on it."""

    code = "not_compliance"


class UnknownRightsRequest(Refused):
    """There is no such request."""

    code = "unknown_rights_request"


class SubjectRestricted(Refused):
    """Nobody may read what is held about the person while a request is open."""

    code = "subject_restricted"


class ErasureIncomplete(Refused):
    """A store that holds something of the person does not answer; nothing was erased."""

    code = "erasure_incomplete"


_BY_STATE: dict[str, type[Refused]] = {
    "TSR01": OwnRightsRequest,
    "TSR02": RightsRequestDecided,
    "TSR03": NotCompliance,
    "TSR05": UnknownRightsRequest,
}


@contextlib.contextmanager
def rights_errors() -> Iterator[None]:
    """Turn the refusals of the database into the errors of this file."""
    try:
        yield
    except asyncpg.PostgresError as error:
        found = _BY_STATE.get(str(error.sqlstate))
        if found is None:
            raise
        raise found(str(error)) from None
