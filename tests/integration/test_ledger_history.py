"""The ledger as history: every event once, in the order in which it was accepted."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

import service.history.ordered
from service.history.reader import Span
from service.ledger.errors import WrongKek
from tests.integration.history_cases import START, entry, events_of, history_of, store


def ms(milliseconds: float) -> timedelta:
    return timedelta(milliseconds=milliseconds)


async def test_events_of_several_writers_come_in_the_order_of_acceptance(
    fresh_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times that only differ within a second, two writers and small pages: one order, by time."""
    monkeypatch.setattr(service.history.ordered, "PAGE_ENTRIES", 7)
    times = [START + ms(37 * index) for index in range(120)]
    await store(fresh_postgres_url, [entry(at) for at in times[::-2]])
    await store(fresh_postgres_url, [entry(at) for at in times[::2]])
    async with history_of(fresh_postgres_url) as history:
        events = await events_of(history)
    assert [event.observed_ms for event in events] == [round(at.timestamp() * 1000) for at in times]
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))


async def test_a_time_that_rounds_into_the_next_second_keeps_its_place(
    fresh_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """999.7 ms is 1000 ms as windows count it, and comes after 999 ms, whatever the page is."""
    monkeypatch.setattr(service.history.ordered, "PAGE_ENTRIES", 1)
    drafts = [entry(START + ms(at)) for at in (1000.0, 999.7, 999.0, 1001.0, 2000.0)]
    await store(fresh_postgres_url, drafts)
    async with history_of(fresh_postgres_url) as history:
        events = await events_of(history)
    begin = round(START.timestamp() * 1000)
    assert [event.observed_ms - begin for event in events] == [999, 1000, 1000, 1001, 2000]
    order = [(drafts[index].event_key or b"").decode() for index in (2, 0, 1, 3, 4)]
    assert [event.event_tag for event in events] == order


async def test_an_event_is_what_was_sealed(fresh_postgres_url: str) -> None:
    """Tags, fields, both times, outcome and event tag are those of the entry."""
    tags = {"user": "u-tag", "device": "d-tag"}
    decided = entry(START, tags=tags, fields={"order.amount_base_minor": 5}, outcome="review")
    learned = entry(START + ms(5), tags={}, outcome=None)
    await store(fresh_postgres_url, [decided, learned])
    async with history_of(fresh_postgres_url) as history:
        first, second = await events_of(history)
    assert first.tags == tags
    assert first.fields == {"event.type": "checkout", "order.amount_base_minor": 5}
    assert (first.observed_ms - first.occurred_ms, first.outcome) == (1000, "review")
    assert decided.event_key is not None
    assert first.event_tag == decided.event_key.decode()
    assert (second.tags, second.outcome) == ({}, None)


async def test_entries_of_early_releases_are_read_from_their_facts(fresh_postgres_url: str) -> None:
    """Without `fields` and `observed_ms` the facts and the answer say the same."""
    early = {
        "tags": {"user": "u-tag"},
        "facts": {"event.type": "checkout", "order.amount_base_minor": 7, "user_orders_30d": 1},
        "occurred_at": START,
    }
    await store(fresh_postgres_url, [entry(START + ms(250), subject=early)])
    async with history_of(fresh_postgres_url) as history:
        [event] = await events_of(history)
    assert event.fields == {"event.type": "checkout", "order.amount_base_minor": 7}
    assert event.observed_ms - event.occurred_ms == 250
    assert event.facts["user_orders_30d"] == 1


async def test_erased_and_superseded_entries_are_skipped_and_counted(
    fresh_postgres_url: str,
) -> None:
    """A person whose key is gone and an entry without its event key give no event."""
    kept, erased, superseded = [
        entry(START + ms(index), tags={"user": f"u-{index}"}) for index in range(3)
    ]
    await store(fresh_postgres_url, [kept, erased, superseded])
    connection = await asyncpg.connect(fresh_postgres_url)
    await connection.execute("DELETE FROM subject_key WHERE subject_tag = 'user:u-1'")
    await connection.execute(
        "UPDATE ledger_entry SET event_key = NULL WHERE entry_id = $1", superseded.entry_id
    )
    await connection.close()
    async with history_of(fresh_postgres_url) as history:
        events = await events_of(history)
        assert [event.tags["user"] for event in events] == ["u-0"]
        skipped = history.skipped
    assert (skipped.erased, skipped.superseded, skipped.unreadable) == (1, 1, 0)


async def test_a_changed_entry_is_no_event(fresh_postgres_url: str) -> None:
    """A block that does not open in its place is counted as unreadable; the others are read."""
    one, other = entry(START), entry(START + ms(1))
    await store(fresh_postgres_url, [one, other])
    connection = await asyncpg.connect(fresh_postgres_url)
    await connection.execute(
        "UPDATE ledger_entry SET core = (SELECT core FROM ledger_entry WHERE entry_id = $1) "
        "WHERE entry_id = $2",
        one.entry_id,
        other.entry_id,
    )
    await connection.close()
    async with history_of(fresh_postgres_url) as history:
        assert len(await events_of(history)) == 1
        assert history.skipped.unreadable == 1


async def test_another_key_encryption_key_is_said_not_skipped(fresh_postgres_url: str) -> None:
    """With the wrong key nothing is read and the error says so."""
    await store(fresh_postgres_url, [entry(START)])
    async with history_of(fresh_postgres_url, kek=bytes(32)) as history:
        with pytest.raises(WrongKek):
            await events_of(history)


async def test_reading_goes_on_after_any_mark(
    fresh_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From every mark on, the rest is the same events at the same positions."""
    times = [START + ms(at) for at in (0, 0, 0, 400, 999.8, 1000, 1000, 2500, 9000)]
    await store(fresh_postgres_url, [entry(at) for at in times])
    monkeypatch.setattr(service.history.ordered, "PAGE_ENTRIES", 2)
    async with history_of(fresh_postgres_url) as history:
        whole = await events_of(history)
        pages = [page async for page in history.pages(Span())]
        assert len(pages) > 2
        for page in pages:
            rest = await events_of(history, after=page.mark)
            assert rest == [event for event in whole if event.position > page.mark.position]


async def test_a_span_has_both_its_ends(fresh_postgres_url: str) -> None:
    """`since_ms <= observed_ms <= until_ms`, to the millisecond."""
    await store(fresh_postgres_url, [entry(START + ms(index)) for index in range(-2, 8)])
    begin = round(START.timestamp() * 1000)
    async with history_of(fresh_postgres_url) as history:
        events = await events_of(history, Span(begin, begin + 4))
    assert [event.observed_ms - begin for event in events] == [0, 1, 2, 3, 4]
