"""Which texts and times may people state?

Invariant: what passes can be stored and compared. PostgreSQL has no text with NUL, UTF-8 none with
half a character (which the pattern refuses, too), and a time at the edge of the calendar has none
in another zone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

NO_NUL = r"^[^\x00]*$"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def _known(at: datetime) -> datetime:
    if not EARLIEST <= at <= LATEST:
        raise ValueError("Must be a time from 1970 to 9000.")
    return at


Name = Annotated[str, StringConstraints(max_length=200, pattern=NO_NUL)]
Note = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=500, pattern=NO_NUL),
    Field(description="Why. It is kept for ever; no personal data of customers."),
]
Reason = Annotated[Note, StringConstraints(min_length=1)]
Moment = Annotated[AwareDatetime, AfterValidator(_known)]
