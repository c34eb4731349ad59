"""What is known of events, and what was known at an earlier time?

The table `label`. Invariants: a row is never changed, a correction is a later row; what is given
for a time holds nothing that was unknown at that time, and no label is older than its event.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from service.labels.sources import LABELS

WITHDRAWN = "withdrawn"
WORDS: dict[int | None, str] = {None: WITHDRAWN}
WORDS.update({number: word for word, number in LABELS.items()})

# Of labels known at one moment the abusive one counts, as in training/labels.py.
_KNOWN = """
SELECT * FROM (
    SELECT DISTINCT ON (event_tag) event_tag, label, source, known_at
    FROM label WHERE event_tag = ANY($1::text[]) AND known_at <= $2
    ORDER BY event_tag, known_at DESC, label DESC NULLS LAST, id DESC
) latest WHERE label IS NOT NULL
"""
_EVENTS = """
SELECT event_key, observed FROM ledger_entry
WHERE event_key = ANY($1::bytea[]) AND type IN ('decision', 'event')
"""
_LAST_OF_SOURCES = """
SELECT DISTINCT ON (event_tag, source) event_tag, source, label, known_at
FROM label WHERE event_tag = ANY($1::text[])
ORDER BY event_tag, source, known_at DESC, id DESC
"""
_INSERT = """
INSERT INTO label (event_tag, label, source, known_at, observed_at, actor, batch)
SELECT event_tag, label, source,
       least(now(), CASE WHEN known_at >= observed_at
                         THEN greatest(known_at, observed_at + interval '1 second')
                         ELSE known_at END),
       observed_at, $6, $7
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::timestamptz[], $5::timestamptz[])
     AS row (event_tag, label, source, known_at, observed_at)
"""
_HISTORY = "SELECT * FROM label WHERE event_tag = $1 ORDER BY known_at, id"
_PAGE = """
SELECT * FROM label
WHERE id > $1 AND ($2::text IS NULL OR source = $2) AND ($3::timestamptz IS NULL OR known_at >= $3)
ORDER BY id LIMIT $4
"""


class Label(NamedTuple):
    """What an event turned out to be: 1 abusive, 0 honest."""

    label: int
    source: str
    known_at: datetime


class StatedLabel(NamedTuple):
    """A label as somebody states it. `label` None: withdrawn; `known_at` None: it was not said."""

    event_tag: str
    label: int | None
    source: str
    known_at: datetime | None


class LabelRow(NamedTuple):
    """A label as it is kept."""

    id: int
    event_tag: str
    label: int | None
    source: str
    known_at: datetime
    observed_at: datetime
    actor: str
    batch: UUID
    recorded_at: datetime


async def known_labels(
    connection: Any, event_tags: Collection[str], as_of: datetime
) -> dict[str, Label]:
    """Return the label of each event that had one at `as_of`.

    Of several the one known last counts, of those known at one moment the abusive one; an event
    whose last label was withdrawn has none. `connection` is an asyncpg connection. Raises what
    asyncpg raises.
    """
    rows = await connection.fetch(_KNOWN, list(event_tags), as_of)
    return {row["event_tag"]: Label(row["label"], row["source"], row["known_at"]) for row in rows}


async def events_seen(connection: Any, event_tags: Collection[str]) -> dict[str, datetime]:
    """Return when each event was seen, in whole seconds; those that the ledger lacks are absent."""
    keys = [tag.encode() for tag in event_tags]
    rows = await connection.fetch(_EVENTS, keys)
    return {row["event_key"].decode(): row["observed"] for row in rows}


async def last_of_sources(
    connection: Any, event_tags: Collection[str]
) -> dict[tuple[str, str], tuple[int | None, datetime]]:
    """Return what each source said last of each event: label and when it was known."""
    rows = await connection.fetch(_LAST_OF_SOURCES, list(event_tags))
    return {
        (row["event_tag"], row["source"]): (row["label"], row["known_at"])
        for row in rows
    }  # fmt: skip


async def insert_labels(
    connection: Any,
    rows: Sequence[StatedLabel],
    seen: Sequence[datetime],
    actor: str,
    batch: UUID,
) -> None:
    """Add rows whose `known_at` is set; `seen[i]` is when the event of `rows[i]` was seen.

    A label that was known within the second of its event counts from the end of that second: the
    ledger's table has whole seconds only, and no label may be older than its event. Raises what
    asyncpg raises, `CheckViolationError` for a label that was known before its event.
    """
    columns = [[row[at] for row in rows] for at in range(len(StatedLabel._fields))]
    await connection.execute(_INSERT, *columns, list(seen), actor, batch)


async def history_of(connection: Any, event_tag: str) -> list[LabelRow]:
    """Return everything that was ever said of an event, in the order in which it was known."""
    return [_row(row) for row in await connection.fetch(_HISTORY, event_tag)]


async def page_of_labels(
    connection: Any, after: int, limit: int, *, source: str | None, since: datetime | None
) -> list[LabelRow]:
    """Return labels in the order in which they came in, after the one with this id."""
    return [_row(row) for row in await connection.fetch(_PAGE, after, source, since, limit)]


def _row(row: Any) -> LabelRow:
    return LabelRow(**{name: row[name] for name in LabelRow._fields})
