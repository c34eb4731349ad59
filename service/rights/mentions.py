"""Which entries of others mention a person: a device that they share, an address they both use?

Found by the blind index, opened, and compared: a term alone may be somebody else's. Invariant: an
entry of the person's own is none of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from service.audit.blind_index import entries_with, months_between
from service.rights.held import PAGE, HeldEntries, HeldEntry
from service.rights.parts import Opens

_FIRST_ENTRY = """
SELECT e.observed FROM ledger_leaf l JOIN ledger_entry e ON e.entry_id = l.entry_id
ORDER BY l.idx LIMIT 1
"""
# Where nothing is placed yet.
_YOUNG = timedelta(days=400)


async def terms_of(connection: Any, parts: Opens, tags: Sequence[str]) -> list[bytes]:
    """Return the terms of tags (`kind:tag`) in every month that the record has."""
    now = datetime.now(UTC)
    first = await connection.fetchval(_FIRST_ENTRY) or now - _YOUNG
    return [
        term
        for month in months_between(min(first, now - timedelta(days=1)), now)
        for kind, _, tag in (one.partition(":") for one in tags)
        for term in parts.terms.terms({kind: tag}, month)
    ]


async def mentions(
    connection: Any, parts: Opens, tags: Sequence[str]
) -> AsyncIterator[list[HeldEntry]]:
    """Yield the entries of others that mention one of the tags, page by page."""
    own = set(tags)
    held = HeldEntries(connection, parts.ring, parts.log_name)
    terms = await terms_of(connection, parts, tags)
    found = await entries_with(connection, terms) if terms else []
    for at in range(0, len(found), PAGE):
        page = [
            entry
            for entry in await held.named(found[at : at + PAGE])
            if entry.subject_tag not in own
            and any(f"{kind}:{tag}" in own for kind, tag in entry.tags.items())
        ]
        if page:
            yield page
