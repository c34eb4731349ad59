"""Which leaves of the tree does somebody mean?

By time, by number, or everything since a checkpoint. Invariant: a range ends under the newest
signed checkpoint, so whoever approves it approves these entries and no others; a range by time has
every entry of that time, and those between them that came late.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from service.audit.exports.errors import NothingToExport
from service.texts import EARLIEST, LATEST

_SIZE = """
SELECT c.size FROM ledger_checkpoint c JOIN ledger_tree t ON t.origin = c.origin
ORDER BY c.size DESC LIMIT 1
"""
_OF_TIME = """
SELECT min(l.idx) AS first, max(l.idx) + 1 AS last
FROM ledger_entry e JOIN ledger_leaf l ON l.entry_id = e.entry_id
WHERE e.observed >= $1 AND e.observed < $2 AND l.idx < $3
"""


class ExportRange(NamedTuple):
    """The leaves [first, last); `since` and `until` when it was meant by time."""

    first: int
    last: int
    since: datetime | None = None
    until: datetime | None = None
    earlier: tuple[int, ...] = ()


async def settled(
    connection: Any,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    first: int | None = None,
    last: int | None = None,
    earlier: Sequence[int] = (),
) -> ExportRange:
    """Return the range that is meant; what is left out is without a bound.

    Raises `NothingToExport`, also for sizes that no checkpoint reaches.
    """
    size = await connection.fetchval(_SIZE)
    if not size:
        raise NothingToExport("There is no signed checkpoint yet: is the signer running?")
    if beyond := [one for one in (*earlier, first or 0, last or 0) if one > size]:
        raise NothingToExport(f"The newest checkpoint has {size} entries, not {max(beyond)}.")
    if since is not None or until is not None:
        found = await connection.fetchrow(_OF_TIME, since or EARLIEST, until or LATEST, size)
        if found["first"] is None:
            raise NothingToExport("No entry under a signed checkpoint is of that time.")
        return ExportRange(found["first"], found["last"], since, until, tuple(earlier))
    start, stop = first or 0, size if last is None else last
    if start >= stop:
        raise NothingToExport(f"The newest checkpoint has {size} entries: nothing is in the range.")
    return ExportRange(start, stop, None, None, tuple(earlier))
