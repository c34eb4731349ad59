"""A batch takes those who wait, in an order that cannot deadlock, and each event once."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from service.ledger.batch import Queued, Repeat, Waiting, take_batch, tell, tell_repeat
from service.ledger.entry import EntryDraft
from service.ledger.errors import BadDraft, DuplicateEvent, LedgerUnavailable
from service.ledger.keys import FileKek, Keyring
from service.ledger.row import SealedEntry, sealed
from tests.integration.ledger_cases import draft

RING = Keyring(FileKek(bytes(32)))


def seal(draft: EntryDraft) -> SealedEntry:
    return sealed(draft, "test", RING)


def waiting(event: str | None) -> Queued:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    return Queued(draft(event), future, 0)


@pytest.mark.asyncio
async def test_order_is_that_of_event_keys() -> None:
    """Two writers with the same events lock them in the same order, whoever came first."""
    callers = [waiting(event) for event in ("c", None, "a", "b")]
    batch, repeats = take_batch(deque(callers), 64, seal)
    assert [caller.entry.event_key for caller in batch] == [None, b"a", b"b", b"c"]
    assert repeats == []


@pytest.mark.asyncio
async def test_repeats_wait_for_the_first_and_the_rest_stays_queued() -> None:
    """A repeated event is not in the batch; what is over the limit waits for the next one."""
    callers = [waiting(event) for event in ("a", "a", "b", "c")]
    queue = deque(callers)
    batch, repeats = take_batch(queue, 2, seal)
    assert [caller.future for caller in batch] == [callers[0].future, callers[2].future]
    assert repeats == [Repeat(callers[1], batch[0])]
    assert list(queue) == [callers[3]]


@pytest.mark.asyncio
async def test_who_gave_up_is_left_out() -> None:
    """A caller whose time ran out, or who left, takes no place in the batch."""
    gone, stays = waiting("a"), waiting("a")
    gone.future.cancel()
    batch, repeats = take_batch(deque([gone, stays]), 64, seal)
    assert [caller.future for caller in batch] == [stays.future]
    assert repeats == []


@pytest.mark.asyncio
async def test_a_draft_that_cannot_be_sealed_fails_its_caller_alone() -> None:
    """A bad draft, and a bug of ours, reach their callers; the others are taken."""
    bad, broken, good = waiting("a"), waiting("b"), waiting("c")

    def seal_one(draft: EntryDraft) -> SealedEntry:
        if draft is broken.draft:
            raise RuntimeError
        return seal(draft._replace(entry_id=b"short") if draft is bad.draft else draft)

    batch, _ = take_batch(deque([bad, broken, good]), 64, seal_one)
    assert [caller.future for caller in batch] == [good.future]
    assert isinstance(bad.future.exception(), BadDraft)
    assert isinstance(broken.future.exception(), LedgerUnavailable)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (None, DuplicateEvent),
        (DuplicateEvent(b"a"), DuplicateEvent),
        (LedgerUnavailable(""), LedgerUnavailable),
    ],
)
async def test_repeat_is_told_what_became_of_the_first(
    outcome: Exception | None, expected: type[Exception]
) -> None:
    """Recorded or a duplicate itself: a duplicate. Not recorded: not recorded."""
    queued, second = waiting("a"), waiting("a")
    first = Waiting(seal(queued.draft), queued.future, queued.deadline)
    tell(first, outcome)
    tell_repeat(Repeat(second, first))
    assert isinstance(second.future.exception(), expected)
    assert first.future.exception() is outcome
