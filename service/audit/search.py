"""Which entries are about somebody, or happened at a time?

Found by the blind index (`blind_index.py`) and by whose key sealed them; what was found by chance
is dropped once it is opened. Invariants: equality only; nothing is shown of a restricted person but
that there is an entry; newest first, and it is said when there is more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from service.audit.blind_index import BlindIndex, months_between
from service.audit.errors import SearchTooWide
from service.audit.opened_entries import ERASED, OPEN, RESTRICTED, AuditEntry, EntryOpener

EVENT = "event"
MOST_FOUND = 500
# An entry takes 0.1 ms to open: half a second of work for one search.
MOST_OPENED = 5_000
PAGE = 500
SECONDS = 10
# The index is asked month by month: 10 years, as long as headers are kept.
LONGEST = timedelta(days=3_700)

_BY_TERMS = """
SELECT e.entry_id FROM ledger_entry e
WHERE e.entry_id IN (
    SELECT entry_id FROM entry_subject WHERE terms && $1::bytea[]
    UNION
    SELECT s.entry_id FROM subject_key k JOIN entry_subject s ON s.key_id = k.key_id
    WHERE k.subject_tag = $2
) AND e.observed >= $3 AND e.observed < $4 AND ($5::text[] IS NULL OR e.type = ANY($5))
ORDER BY e.observed DESC, e.writer, e.seq DESC LIMIT $6
"""
_BY_EVENT = """
SELECT entry_id FROM ledger_entry
WHERE event_key = $1 AND observed >= $2 AND observed < $3
  AND ($4::text[] IS NULL OR type = ANY($4))
LIMIT $5
"""
_BY_TIME = """
SELECT entry_id FROM ledger_entry
WHERE observed >= $1 AND observed < $2 AND ($3::text[] IS NULL OR type = ANY($3))
ORDER BY observed DESC, writer, seq DESC LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for.

    `kind` and `tag`: an entity, or `event` and the tag of an event's id; None: everybody. `types`
    are those of entries, `event_types` and `outcomes` those of decisions.
    """

    since: datetime
    until: datetime
    kind: str | None = None
    tag: str | None = None
    types: tuple[str, ...] | None = None
    event_types: tuple[str, ...] | None = None
    outcomes: tuple[str, ...] | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Found:
    """Entries, newest first; `is_cut`: there are more, before the last of them."""

    entries: Sequence[AuditEntry]
    is_cut: bool


def question_times(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Return the span of a search: the last 31 days where nothing is said."""
    end = until or datetime.now(UTC) + timedelta(minutes=1)
    begin = since or end - timedelta(days=31)
    if end - begin > LONGEST:
        raise SearchTooWide("A search covers ten years at most.")
    return begin, end


async def search(
    connection: Any, opener: EntryOpener, index: BlindIndex, question: Question
) -> Found:
    """Return what is found; runs within a transaction.

    Raises `SearchTooWide`, `WrongKek` and what asyncpg raises.
    """
    await connection.execute(f"SET LOCAL statement_timeout = '{SECONDS}s'")
    try:
        ids = await _candidates(connection, index, question)
    except asyncpg.QueryCanceledError:
        raise SearchTooWide("Search a shorter time.") from None
    found: list[AuditEntry] = []
    for at in range(0, len(ids), PAGE):
        page = ids[at : at + PAGE]
        # A false match is known by its tags only, also when its person is restricted.
        blocks = ("core",) if question.tag is None else ("core", "subject")
        opened = await opener.entries(connection, page, blocks, even_restricted=True)
        hidden = await _restricted(connection, page)
        for entry in opened:
            if _is_match(entry, question):
                found.append(_shown(entry, is_hidden=entry.header.entry_id in hidden))
                if len(found) > question.limit:
                    return Found(found[: question.limit], is_cut=True)
    return Found(found, is_cut=len(ids) >= MOST_OPENED)


async def _candidates(connection: Any, index: BlindIndex, question: Question) -> list[bytes]:
    span = question.since, question.until
    types = None if question.types is None else list(question.types)
    if question.kind is None or question.tag is None:
        rows = await connection.fetch(_BY_TIME, *span, types, MOST_OPENED)
    elif question.kind == EVENT:
        rows = await connection.fetch(_BY_EVENT, question.tag.encode(), *span, types, MOST_OPENED)
    else:
        tags = {question.kind: question.tag}
        terms = [t for month in months_between(*span) for t in index.terms(tags, month)]
        owner = f"{question.kind}:{question.tag}"
        rows = await connection.fetch(_BY_TERMS, terms, owner, *span, types, MOST_OPENED)
    return [row["entry_id"] for row in rows]


async def _restricted(connection: Any, entry_ids: Sequence[bytes]) -> frozenset[bytes]:
    rows = await connection.fetch(
        "SELECT s.entry_id FROM entry_subject s JOIN subject_key k ON k.key_id = s.key_id "
        "WHERE s.entry_id = ANY($1::bytea[]) "
        "AND k.subject_tag IN (SELECT subject_tag FROM restricted_subject)",
        entry_ids,
    )
    return frozenset(row["entry_id"] for row in rows)


def _is_match(entry: AuditEntry, question: Question) -> bool:
    if question.tag is not None and question.kind != EVENT:
        tags: Mapping[str, str] = entry.blocks.get("subject", {}).get("tags", {})
        if tags.get(str(question.kind)) != question.tag:
            return False
    answer = entry.blocks.get("core", {}).get("answer", {})
    return (question.event_types is None or answer.get("type") in question.event_types) and (
        question.outcomes is None or answer.get("outcome") in question.outcomes
    )


def _shown(entry: AuditEntry, *, is_hidden: bool) -> AuditEntry:
    """Return the entry without the subject block, and without facts about a restricted person."""
    state = entry.states.get("subject")
    states = {**entry.states}
    if is_hidden:
        return entry._replace(blocks={}, states={**states, "subject": RESTRICTED})
    if state == ERASED:
        return entry._replace(blocks={k: v for k, v in entry.blocks.items() if k == "core"})
    if state == OPEN:
        states["subject"] = "sealed"
    return entry._replace(
        blocks={k: v for k, v in entry.blocks.items() if k == "core"}, states=states
    )
