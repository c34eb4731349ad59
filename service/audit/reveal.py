"""What does one entry say, to somebody who may and says why?

Invariant: a restricted or erased person's facts are not shown, and it is said which it is.
"""

from __future__ import annotations

from typing import Any

from service.audit.errors import EntryErased, EntryRestricted, UnknownEntry
from service.audit.opened_entries import ERASED, GONE, RESTRICTED, AuditEntry, EntryOpener

BLOCKS = ("core", "staff", "subject")


async def revealed(connection: Any, opener: EntryOpener, entry_id: bytes) -> AuditEntry:
    """Return the opened entry.

    Raises `UnknownEntry`, `EntryRestricted`, `EntryErased`, `WrongKek` and what asyncpg raises.
    """
    found = await opener.entries(connection, [entry_id], BLOCKS)
    if not found:
        raise UnknownEntry
    (entry,) = found
    state = entry.states.get("subject")
    if state == RESTRICTED:
        raise EntryRestricted
    if state == ERASED or (state is None and not entry.blocks and GONE in entry.states.values()):
        raise EntryErased
    return entry


def entry_id_of(text: str) -> bytes:
    """Return the id that 32 hexadecimal digits say. Raises `UnknownEntry`."""
    try:
        entry_id = bytes.fromhex(text)
    except ValueError:
        raise UnknownEntry from None
    if len(entry_id) != 16:
        raise UnknownEntry
    return entry_id
