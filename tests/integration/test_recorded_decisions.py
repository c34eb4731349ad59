"""Recorded decisions: what decided, from what, and what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

import service.history.ordered
from service.history.decisions import DecisionReader, RecordedDecision, RecordedHit
from service.history.money import amount_of
from service.history.reader import Span
from service.ledger.keys import FileKek, Keyring
from tests.integration.history_cases import KEK, LOG, START, entry, store

HIT = {"rule_id": "r-1", "status": "hit", "outcome": "review", "mode": "live"}


@asynccontextmanager
async def reader_of(dsn: str) -> AsyncIterator[DecisionReader]:
    connection = await asyncpg.connect(dsn)
    try:
        yield DecisionReader(connection, Keyring(FileKek(KEK)), LOG)
    finally:
        await connection.close()


async def decisions_of(reader: DecisionReader, span: Span | None = None) -> list[RecordedDecision]:
    return [one async for page in reader.pages(span or Span()) for one in page]


async def test_a_decision_is_what_was_answered_and_sealed(fresh_postgres_url: str) -> None:
    """Score, gaps, hits, versions, facts and amount are those of the entry; events are none."""
    answer = {"score": 0.7, "degraded": ["rule:r-2", "velocity"], "rule_hits": [HIT]}
    decided = entry(
        START,
        fields={"order.amount_base_minor": 5},
        outcome="review",
        versions={"rule_set": "a" * 64, "catalog": "c" * 64},
        answer=answer,
    )
    await store(fresh_postgres_url, [decided, entry(START, outcome=None)])
    async with reader_of(fresh_postgres_url) as reader:
        assert await reader.count(Span()) == 1
        [found] = await decisions_of(reader)
    assert found.entry_id == decided.entry_id
    assert (found.score, found.event.outcome, found.rule_set) == (0.7, "review", "a" * 64)
    assert found.hits == (RecordedHit("r-1", "hit", "review", "live"),)
    assert (found.degraded, found.gaps) == (("rule:r-2", "velocity"), ("velocity",))
    assert found.versions["catalog"] == "c" * 64
    assert amount_of(found.event) == 5


async def test_decisions_of_pages_come_in_order_within_a_span(
    fresh_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small pages, events in between and a span: the decisions of it, by time."""
    monkeypatch.setattr(service.history.ordered, "PAGE_ENTRIES", 3)
    times = [START + timedelta(milliseconds=370 * index) for index in range(40)]
    drafts = [entry(at, outcome="approve" if i % 4 else None) for i, at in enumerate(times)]
    await store(fresh_postgres_url, drafts[::-1])
    begin = round(START.timestamp() * 1000)
    async with reader_of(fresh_postgres_url) as reader:
        found = await decisions_of(reader, Span(begin + 370, begin + 370 * 38))
    wanted = [draft.entry_id for i, draft in enumerate(drafts) if 1 <= i <= 38 and i % 4]
    assert [one.entry_id for one in found] == wanted


async def test_a_decision_past_its_retention_is_counted_as_expired(fresh_postgres_url: str) -> None:
    """Without its core block nobody knows what was answered."""
    kept, expired = entry(START), entry(START)
    await store(fresh_postgres_url, [kept, expired])
    connection = await asyncpg.connect(fresh_postgres_url)
    await connection.execute(
        "UPDATE ledger_entry SET core = NULL WHERE entry_id = $1", expired.entry_id
    )
    await connection.close()
    async with reader_of(fresh_postgres_url) as reader:
        assert [one.entry_id for one in await decisions_of(reader)] == [kept.entry_id]
        assert reader.skipped.expired == 1
