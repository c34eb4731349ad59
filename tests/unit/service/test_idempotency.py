from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from features.velocity.store import VelocityUnavailable
from service.errors import EventConflict, RecordUnavailable
from service.idempotency import FirstAnswer, Once
from service.ledger.errors import DuplicateEvent, LedgerUnavailable

NOW = datetime.now(UTC)


class MemoryClaims:
    """Claims of several `Once` in one process; `is_down` makes them unreachable."""

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}
        self.is_down = False

    async def take(self, event_tag: str, body_tag: str) -> str | None:
        await asyncio.sleep(0)
        if self.is_down:
            raise VelocityUnavailable("refused")
        earlier = self.taken.get(event_tag)
        if earlier is None:
            self.taken[event_tag] = body_tag
        return earlier

    async def release(self, event_tag: str) -> None:
        self.taken.pop(event_tag, None)


class MemoryRecord:
    """A ledger in a dict: it refuses a second entry for an event."""

    def __init__(self) -> None:
        self.entries: dict[str, FirstAnswer] = {}
        self.counted = 0
        self.is_down = False

    async def first_answer(self, event_tag: str) -> FirstAnswer | None:
        await asyncio.sleep(0)
        if self.is_down:
            raise RecordUnavailable
        return self.entries.get(event_tag)

    async def append(self, event_tag: str, body_tag: str, answer: bytes) -> bytes:
        await asyncio.sleep(0.001)
        if self.is_down:
            raise LedgerUnavailable
        if event_tag in self.entries:
            raise DuplicateEvent(event_tag.encode())
        self.counted += 1
        self.entries[event_tag] = FirstAnswer(body_tag, answer)
        return answer


async def _answer(
    once: Once, record: MemoryRecord, text: bytes, body: str = "body", at: datetime = NOW
) -> bytes:
    return await once.answer("event", body, at, lambda: record.append("event", body, text))


async def test_repeats_get_the_first_answer() -> None:
    """However often an event comes to one process, it is answered once."""
    claims, record = MemoryClaims(), MemoryRecord()
    once = Once(claims, record)
    together = await asyncio.gather(
        *(_answer(once, record, b"answer %d" % index) for index in range(50))
    )
    later = await _answer(once, record, b"later")
    assert {*together, later} == {b"answer 0"}
    assert record.counted == 1


@pytest.mark.parametrize("valkey_is_down", [False, True])
async def test_processes_share_the_first_answer(valkey_is_down: bool) -> None:
    """Two processes that get the event at once agree, with claims and by the ledger alone."""
    claims, record = MemoryClaims(), MemoryRecord()
    claims.is_down = valkey_is_down
    answers = await asyncio.gather(
        *(_answer(Once(claims, record), record, b"%d" % index) for index in range(20))
    )
    assert len(set(answers)) == 1
    assert record.counted == 1


async def test_another_body_is_refused_everywhere() -> None:
    """The same id with another body is a conflict: at once, later, elsewhere, without Valkey."""
    claims, record = MemoryClaims(), MemoryRecord()
    once = Once(claims, record)
    first = asyncio.create_task(_answer(once, record, b"first"))
    await asyncio.sleep(0)
    with pytest.raises(EventConflict):
        await _answer(once, record, b"x", body="other")
    assert await first == b"first"
    with pytest.raises(EventConflict):
        await _answer(once, record, b"x", body="other")
    with pytest.raises(EventConflict):
        await _answer(Once(claims, record), record, b"x", body="other")
    claims.is_down = True
    with pytest.raises(EventConflict):
        await _answer(Once(claims, record), record, b"x", body="other")
    assert record.counted == 1


async def test_a_failed_answer_can_be_tried_again() -> None:
    """An event whose record failed leaves no claim behind that would stop the next try."""
    claims, record = MemoryClaims(), MemoryRecord()
    record.is_down = True
    once = Once(claims, record)
    with pytest.raises(LedgerUnavailable):
        await _answer(once, record, b"lost")
    assert claims.taken == {}
    record.is_down = False
    assert await _answer(once, record, b"kept") == b"kept"


async def test_a_claim_of_a_dead_process_does_not_hang() -> None:
    """An event claimed by a process that died is answered after a short wait."""
    claims, record = MemoryClaims(), MemoryRecord()
    claims.taken["event"] = "body"
    answer = await asyncio.wait_for(_answer(Once(claims, record), record, b"mine"), timeout=1)
    assert answer == b"mine"


async def test_an_old_event_is_looked_up_before_it_is_counted() -> None:
    """When the claim may have lapsed, the ledger is asked before any work is done."""
    claims, record = MemoryClaims(), MemoryRecord()
    record.entries["event"] = FirstAnswer("body", b"last week")
    worked = False

    async def work() -> bytes:
        nonlocal worked
        worked = True
        return b"again"

    old = datetime.now(UTC) - timedelta(days=7)
    assert await Once(claims, record).answer("event", "body", old, work) == b"last week"
    assert not worked
