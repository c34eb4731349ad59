"""The performance of rules over a real ledger: counted once, by hour, and only where it changed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

import service.history.ordered
from service.evidence.labelled import labelled_decisions, labels_since
from service.evidence.rule_hours import (
    HOUR,
    HourTally,
    count_hours,
    hour_of,
    keep_marks,
    read_hours,
    uncounted_hours,
)
from service.history.decisions import DecisionReader
from service.history.ordered import Span
from service.labels.store import StatedLabel, insert_labels
from service.ledger.entry import EntryDraft
from service.ledger.keys import FileKek, Keyring
from tests.integration.history_cases import KEK, LOG, entry, store

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
SINCE, UNTIL = hour_of(NOW - timedelta(days=6)), hour_of(NOW) + HOUR


def decision(at: datetime, *rules: str, outcome: str = "approve", **more: Any) -> EntryDraft:
    """A decision in which these rules hit."""
    hits = [{"rule_id": r, "status": "hit", "outcome": "review", "mode": "live"} for r in rules]
    return entry(
        at,
        outcome=outcome,
        fields={"order.amount_base_minor": 100},
        answer={"rule_hits": hits, **more},
        versions={"rule_set": "a" * 64, "catalog": "c" * 64},
    )


def some_decisions(count: int) -> list[EntryDraft]:
    """Decisions over the days, several in some seconds, at the ends of hours, too."""
    chosen = random.Random(4)
    times = [SINCE + timedelta(milliseconds=chosen.randrange(6 * 86_400_000)) for _ in range(count)]
    times += [SINCE + 3 * HOUR - timedelta(microseconds=n) for n in (1, 400, 600, 100_000)]
    return [
        decision(at, *chosen.sample(("r1", "r2", "r3"), chosen.randrange(3)),
                 outcome=chosen.choice(("approve", "decline")))
        for at in times
    ]  # fmt: skip


@pytest.fixture
async def connection(fresh_postgres_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(fresh_postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def reader(fresh_postgres_url: str) -> AsyncIterator[DecisionReader]:
    opened = await asyncpg.connect(fresh_postgres_url)
    yield DecisionReader(opened, Keyring(FileKek(KEK)), LOG)
    await opened.close()


async def counted(reader: DecisionReader, connection: Any) -> tuple[int, int]:
    """Count what has to be counted; return how many hours and decisions that were."""
    uncounted = await uncounted_hours(connection, SINCE, UNTIL, NOW)
    read = [count async for count in count_hours(reader, connection, uncounted)]
    await keep_marks(connection, uncounted)
    return len(uncounted.hours), sum(read)


def hits_of(hours: Sequence[tuple[datetime, HourTally]]) -> Counter[str]:
    return Counter(
        {
            name: sum(tally.rules[name].all_hits for _, tally in hours if name in tally.rules)
            for name in ("r1", "r2", "r3")
        }
    )


async def test_every_decision_is_counted_in_its_hour(
    fresh_postgres_url: str, reader: DecisionReader, connection: Any
) -> None:
    """The hours agree with the drafts, one by one: hits, money, declined, last hit."""
    drafts = some_decisions(400)
    await store(fresh_postgres_url, drafts)
    assert await counted(reader, connection) == (6 * 24 + 1, len(drafts))
    hours = await read_hours(connection, SINCE, UNTIL)
    assert len(hours) == 6 * 24 + 1
    expected: dict[datetime, HourTally] = {hour: HourTally() for hour, _ in hours}
    async for page in reader.pages(Span()):
        for one in page:
            at = datetime.fromtimestamp(one.place.observed_ms / 1000, UTC)
            expected[hour_of(at)].count(one)
    assert dict(hours) == expected
    total = sum(tally.rules["r1"].amount_minor for _, tally in hours if "r1" in tally.rules)
    assert total == 100 * hits_of(hours)["r1"] > 0


async def test_an_hour_is_counted_once_and_again_when_it_grew(
    fresh_postgres_url: str, reader: DecisionReader, connection: Any
) -> None:
    """The second time nothing is read; late entries of any age count, and their hours alone."""
    await store(fresh_postgres_url, some_decisions(100))
    await counted(reader, connection)
    assert await counted(reader, connection) == (0, 0)
    before = hits_of(await read_hours(connection, SINCE, UNTIL))
    late = [decision(SINCE + timedelta(hours=5), "r1"), decision(NOW - timedelta(minutes=1), "r1")]
    await store(fresh_postgres_url, late)
    hours, read = await counted(reader, connection)
    assert hours == 2
    assert read < 20
    after = hits_of(await read_hours(connection, SINCE, UNTIL))
    assert after["r1"] == before["r1"] + 2
    assert after["r2"] == before["r2"]


async def test_what_was_counted_stays_when_counting_is_cut_short(
    fresh_postgres_url: str,
    reader: DecisionReader,
    connection: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one goes on, and the figures are the same."""
    monkeypatch.setattr(service.history.ordered, "PAGE_ENTRIES", 20)
    drafts = some_decisions(200)
    await store(fresh_postgres_url, drafts)
    uncounted = await uncounted_hours(connection, SINCE, UNTIL, NOW)
    counting = count_hours(reader, connection, uncounted)
    for _ in range(3):
        await anext(counting)
    await counting.aclose()  # type: ignore[attr-defined]  # an async generator
    kept = len(await read_hours(connection, SINCE, UNTIL))
    assert 0 < kept < len(uncounted.hours)
    hours, _ = await counted(reader, connection)
    assert hours == len(uncounted.hours) - kept
    tallies = await read_hours(connection, SINCE, UNTIL)
    decisions = sum(n for _, t in tallies for types in t.decisions.values() for n in types.values())
    assert decisions == len(drafts)


async def test_labelled_decisions_are_opened_by_event(
    fresh_postgres_url: str, reader: DecisionReader, connection: Any
) -> None:
    """The label that counts, of events of the time that was asked for; withdrawn ones are none."""
    one, other, taken_back, earlier = (
        decision(NOW - timedelta(hours=1), "r1", outcome="decline"),
        decision(NOW - timedelta(hours=2), "r2"),
        decision(NOW - timedelta(hours=3), "r2"),
        decision(SINCE - timedelta(days=1), "r1"),
    )
    await store(fresh_postgres_url, [one, other, taken_back, earlier])
    said = [(one, 1, 50), (other, 1, 40), (other, 0, 20), (taken_back, 1, 40), (earlier, 1, 40)]
    said += [(taken_back, None, 10)]  # type: ignore[list-item]
    rows = [
        (
            StatedLabel(
                (draft.event_key or b"").decode(), label, "chargeback", NOW - timedelta(minutes=ago)
            ),
            draft.observed_at,
        )
        for draft, label, ago in said
    ]
    await connection.execute("ALTER TABLE label DROP CONSTRAINT label_not_of_the_future")
    await insert_labels(connection, rows, "ana", uuid4())
    labels = await labels_since(connection, SINCE, UNTIL, NOW)
    assert list(labels.values()) == [True, False]
    found = [row async for part in labelled_decisions(reader, labels) for row in part]
    assert {(row.is_abusive, tuple(row.hits), row.amount_minor) for row in found} == {
        (True, ("r1",), 100),
        (False, ("r2",), 100),
    }
    assert await labels_since(connection, SINCE, UNTIL, NOW - timedelta(minutes=30)) == {
        (one.event_key or b"").decode(): True,
        (other.event_key or b"").decode(): True,
        (taken_back.event_key or b"").decode(): True,
    }
