"""Which cases the ledger gives: labels as known at a time, lists as they were, none too many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg

from rules.listed import Listed
from service.backtest.case import Case
from service.backtest.recorded_cases import RecordedCases, middle_ms
from service.history.ordered import OrderedEntries, Span
from service.labels.store import StatedLabel, insert_labels
from service.ledger.keys import FileKek, Keyring
from service.lists.history import ListsAt
from tests.integration.history_cases import KEK, LOG, START, entry, store

HOUR = timedelta(hours=1)
DENIED = Listed("denied", "user")


@asynccontextmanager
async def connections(dsn: str) -> AsyncIterator[tuple[Any, Any]]:
    one, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        yield one, other
    finally:
        await one.close()
        await other.close()


async def cases_of(dsn: str, span: Span | None = None, **more: Any) -> list[Case]:
    """Every case of a span, in order."""
    async with connections(dsn) as (one, other):
        entries = OrderedEntries(one, Keyring(FileKek(KEK)), LOG)
        given = {"labels_as_of": START + 9 * HOUR, **more}
        reader = RecordedCases(entries, other, **given)
        return [case async for _, page in reader.cases(span or Span()) for case in page]


async def test_a_label_counts_from_when_it_was_known(fresh_postgres_url: str) -> None:
    """As of an earlier time there is none; of several the one known last holds."""
    draft = entry(START, fields={"order.amount_base_minor": 70})
    await store(fresh_postgres_url, [draft, entry(START)])
    assert draft.event_key is not None
    tag = draft.event_key.decode()
    async with connections(fresh_postgres_url) as (one, _):
        said = [
            StatedLabel(tag, 1, "chargeback", START + 2 * HOUR),
            StatedLabel(tag, 0, "review_result", START + 4 * HOUR),
        ]
        await insert_labels(one, [(label, START) for label in said], "ana", uuid4())

    async def label(as_of: datetime) -> list[int | None]:
        found = await cases_of(fresh_postgres_url, labels_as_of=as_of)
        return sorted((case.label for case in found), key=str)

    assert await label(START + HOUR) == [None, None]
    assert await label(START + 3 * HOUR) == [1, None]
    assert await label(START + 5 * HOUR) == [0, None]
    [first] = [c for c in await cases_of(fresh_postgres_url) if c.name == draft.entry_id.hex()]
    assert (first.amount, first.event_type) == (70, "checkout")


async def test_lists_are_as_they_were_at_the_event(fresh_postgres_url: str) -> None:
    """A fact that is on record stays; one that nobody asked for is looked up for its time."""
    on_record = {"tags": {"user": "u-1"}, "fields": {"event.type": "checkout"}, "writes": {},
                 "facts": {DENIED.fact: False}, "occurred_at": START}  # fmt: skip
    drafts = [
        entry(START - HOUR, tags={"user": "u-1"}),
        entry(START + HOUR, tags={"user": "u-1"}),
        entry(START + HOUR, tags={"user": "u-2"}),
        entry(START + HOUR, subject={**on_record, "observed_ms": _ms(START + HOUR)}),
        entry(START + 3 * HOUR, tags={"user": "u-1"}),
    ]
    await store(fresh_postgres_url, drafts)
    spans = {DENIED: {"u-1": ((_ms(START) * 1000, _ms(START + 2 * HOUR) * 1000),)}}
    cases = await cases_of(fresh_postgres_url, listed=[DENIED], lists=ListsAt(spans))
    found = {case.name: case.facts[DENIED.fact] for case in cases}
    names = [draft.entry_id.hex() for draft in drafts]
    assert [found[name] for name in names] == [False, True, False, False, False]


async def test_only_decisions_of_the_span_are_cases(fresh_postgres_url: str) -> None:
    """To the millisecond; events that were only counted are none; two halves are the whole."""
    drafts = [entry(START + i * HOUR, outcome="approve" if i % 3 else None) for i in range(12)]
    await store(fresh_postgres_url, drafts)
    span = Span(_ms(START + HOUR), _ms(START + 10 * HOUR))
    whole = await cases_of(fresh_postgres_url, span)
    wanted = [d.entry_id.hex() for i, d in enumerate(drafts) if 1 <= i <= 10 and i % 3]
    assert [case.name for case in whole] == wanted
    async with connections(fresh_postgres_url) as (one, _):
        middle = await middle_ms(one, span)
    assert middle is not None
    halves = [
        *await cases_of(fresh_postgres_url, Span(span.since_ms, middle - 1)),
        *await cases_of(fresh_postgres_url, Span(middle, span.until_ms)),
    ]
    assert halves == whole


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
