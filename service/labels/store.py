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
_SAID = """
SELECT event_tag, source, label, known_at FROM label WHERE event_tag = ANY($1::text[])
ORDER BY known_at, id
"""
_INSERT = """
INSERT INTO label (event_tag, label, source, known_at, observed_at, actor, batch)
SELECT event_tag, label, source, known_at, observed_at, $6, $7
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::timestamptz[], $5::timestamptz[])
     AS row (event_tag, label, source, known_at, observed_at)
"""
_EFFECTIVE = """
SELECT event_tag, label, source,
       greatest(known_at, observed_at + interval '1 second') AS known_at
FROM (
    SELECT DISTINCT ON (event_tag) event_tag, label, source, known_at, observed_at
    FROM label WHERE event_tag > $1 AND known_at <= $2
    ORDER BY event_tag, known_at DESC, label DESC NULLS LAST, id DESC
) latest WHERE label IS NOT NULL ORDER BY event_tag LIMIT $3
"""
_COUNTS = """
SELECT source, label, count(*) AS n FROM label GROUP BY source, label ORDER BY source, label
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


async def said_before(
    connection: Any, event_tags: Collection[str]
) -> dict[tuple[str, str], list[tuple[int | None, datetime]]]:
    """Return label and time of what each source said of each event, the last at the end."""
    said: dict[tuple[str, str], list[tuple[int | None, datetime]]] = {}
    for row in await connection.fetch(_SAID, list(event_tags)):
        key = (row["event_tag"], row["source"])
        said.setdefault(key, []).append((row["label"], row["known_at"]))
    return said


async def insert_labels(
    connection: Any, rows: Sequence[tuple[StatedLabel, datetime]], actor: str, batch: UUID
) -> None:
    """Add labels whose `known_at` is set, each with the time at which its event was seen.

    Raises what asyncpg raises, `CheckViolationError` for a label that is older than its event.
    """
    columns = [[label[place] for label, _ in rows] for place in range(len(StatedLabel._fields))]
    await connection.execute(_INSERT, *columns, [at for _, at in rows], actor, batch)


async def history_of(connection: Any, event_tag: str) -> list[LabelRow]:
    """Return everything that was ever said of an event, in the order in which it was known."""
    return [_row(row) for row in await connection.fetch(_HISTORY, event_tag)]


async def page_of_labels(
    connection: Any, after: int, limit: int, *, source: str | None, since: datetime | None
) -> list[LabelRow]:
    """Return labels in the order in which they came in, after the one with this id."""
    return [_row(row) for row in await connection.fetch(_PAGE, after, source, since, limit)]


async def effective_labels(
    connection: Any, as_of: datetime, after: str, limit: int
) -> list[tuple[str, Label]]:
    """Return the labels that counted at `as_of`, by event tag, those after this tag.

    A label that became known within the second of its event is given as known after it: when in
    that second the event was seen is sealed, and training refuses labels that are older.
    """
    return [
        (row["event_tag"], Label(row["label"], row["source"], row["known_at"]))
        for row in await connection.fetch(_EFFECTIVE, after, as_of, limit)
    ]


async def counts_by_source(connection: Any) -> dict[tuple[str, int | None], int]:
    """Return how often each source said what, corrections counted as well."""
    rows = await connection.fetch(_COUNTS)
    return {(row["source"], row["label"]): row["n"] for row in rows}


def _row(row: Any) -> LabelRow:
    return LabelRow(**{name: row[name] for name in LabelRow._fields})
