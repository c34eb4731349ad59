"""Entries as the service writes them, put into a ledger directly: fast, with times of our own."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from features.history import HistoryEvent
from service.history.reader import LedgerHistory, Mark, Span
from service.ledger.entry import EntryDraft
from service.ledger.frames import month_key_rows, subject_key_rows
from service.ledger.keys import FileKek, Keyring
from service.ledger.row import SealedEntry, numbered, sealed
from service.ledger.table import insert

KEK = hashlib.sha256(b"history").digest()
LOG = "touchstone"
EVERYTHING = Span()
START = datetime(2026, 11, 1, 8, 0, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def entry(
    at: datetime,
    *,
    tags: dict[str, str] | None = None,
    fields: dict[str, Any] | None = None,
    outcome: str | None = "approve",
    subject: dict[str, Any] | None = None,
    versions: dict[str, str] | None = None,
    answer: dict[str, Any] | None = None,
) -> EntryDraft:
    """A decision (or, without an outcome, an event) that was accepted at a time."""
    number = next(_numbers)
    tags = {"user": f"tag-{number}"} if tags is None else tags
    answer = {"observed_at": at, "type": "checkout", **(answer or {})}
    if outcome is not None:
        answer = {"score": 0.1, "degraded": [], "rule_hits": [], **answer, "outcome": outcome}
    content = {
        "tags": tags,
        "fields": {"event.type": "checkout", **(fields or {})},
        "writes": {},
        "facts": {},
        "occurred_at": at - timedelta(seconds=1),
        "observed_ms": round(at.timestamp() * 1000),
    }
    return EntryDraft(
        entry_id=os.urandom(16),
        type="event" if outcome is None else "decision",
        event_key=f"event-{number}".encode(),
        body_hash=b"body",
        observed_at=at,
        versions=versions or {"catalog": "0" * 64},
        core=orjson.dumps({"answer": answer}),
        subject=orjson.dumps(content if subject is None else subject),
        subject_tag=f"user:{tags['user']}" if "user" in tags else None,
    )


async def store(dsn: str, drafts: Sequence[EntryDraft], *, kek: bytes = KEK) -> None:
    """Put entries into the table as one writer, in the order given."""
    writer = os.urandom(16)
    ring = Keyring(FileKek(kek))
    connection = await asyncpg.connect(dsn)
    try:
        for at in range(0, len(drafts), 500):
            entries = [sealed(draft, LOG, ring) for draft in drafts[at : at + 500]]
            await _insert(connection, entries, writer, at + 1)
    finally:
        await connection.close()


async def _insert(connection: Any, entries: list[SealedEntry], writer: bytes, seq: int) -> None:
    rows = [numbered(one, writer, number) for number, one in enumerate(entries, seq)]
    months = {key for one in entries for key in one.month_keys if not key.stored}
    subjects = subject_key_rows(one.subject_key for one in entries)
    await insert(connection, rows, subjects, month_key_rows(months), (writer,))
    for key in months:
        key.stored = True
    for one in entries:
        if one.subject_key is not None:
            one.subject_key.stored = True


@asynccontextmanager
async def history_of(dsn: str, *, kek: bytes = KEK) -> AsyncIterator[LedgerHistory]:
    """The history of a database."""
    connection = await asyncpg.connect(dsn)
    try:
        yield LedgerHistory(connection, Keyring(FileKek(kek)), LOG)
    finally:
        await connection.close()


async def events_of(
    history: LedgerHistory, span: Span = EVERYTHING, after: Mark | None = None
) -> list[HistoryEvent]:
    """Every event of a history."""
    return [event async for page in history.pages(span, after) for event in page.events]
