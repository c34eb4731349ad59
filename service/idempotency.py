"""How is each event answered once, however often and wherever it arrives?

Three nets, from the cheapest to the surest: this process knows what it is answering and what it
answered lately; a claim in Valkey tells the other processes (and refuses another body under the
same id before anything is counted); the ledger's unique `event_key` decides whatever is left.
Invariant: all answers to one `event_id` are the first answer, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from features.velocity.store import VelocityUnavailable
from service.clock import monotonic
from service.errors import EventConflict, RecordUnavailable
from service.ledger.errors import DuplicateEvent

CLAIM_TTL = timedelta(hours=24)
# An event that says it happened this long ago may repeat one whose claim has lapsed: ask the
# ledger first. The hour covers callers whose clock is ahead.
LOOK_UP_OLDER_THAN = CLAIM_TTL - timedelta(hours=1)
# Answers of this process kept for repeats: about 1.5 KB each.
RECENT_ANSWERS = 4096
# How long a repeat waits for the process that claimed the event before it does the work itself
# (which is safe: stores and ledger count an event once). A decision takes about 1.5 ms.
OTHER_PROCESS_WAIT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The recorded answer to an event and the tag of the body that it answered."""

    body_tag: str
    answer: bytes


class Claims(Protocol):
    """Who has begun to answer an event, across processes. Kept for `CLAIM_TTL`."""

    async def take(self, event_tag: str, body_tag: str) -> str | None:
        """Claim the event unless it is claimed; return the body tag of the earlier claim.

        Atomic across processes. Raises `VelocityUnavailable` when the store cannot be reached
        within its budget; whether the claim was taken is then unknown.
        """
        ...

    async def release(self, event_tag: str) -> None:
        """Forget a claim whose work failed. Best effort: never raises."""
        ...


class Recorded(Protocol):
    """Where first answers are looked up."""

    async def first_answer(self, event_tag: str) -> FirstAnswer | None:
        """Return the recorded first answer to the event, `None` when there is none.

        Raises `RecordUnavailable` when the record cannot be read.
        """
        ...


class Once:
    """Runs the work for an event at most once and hands everyone the first answer."""

    def __init__(self, claims: Claims, recorded: Recorded) -> None:
        self._claims = claims
        self._recorded = recorded
        self._running: dict[str, tuple[str, asyncio.Future[bytes]]] = {}
        self._recent: OrderedDict[str, FirstAnswer] = OrderedDict()

    async def answer(
        self,
        event_tag: str,
        body_tag: str,
        occurred_at: datetime,
        work: Callable[[], Awaitable[bytes]],
    ) -> bytes:
        """Return the first answer to the event; `work` computes and records it if there is none.

        Raises `EventConflict` for another body under the same id, `RecordUnavailable` when a
        first answer may exist but cannot be read, and whatever `work` raises.
        """
        if recent := self._recent.get(event_tag):
            return _same_body(recent, body_tag)
        if running := self._running.get(event_tag):
            if running[0] != body_tag:
                raise EventConflict
            return await asyncio.shield(running[1])
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._running[event_tag] = (body_tag, future)
        try:
            answer = await self._claimed(event_tag, body_tag, occurred_at, work)
        except BaseException as error:
            future.set_exception(
                error if isinstance(error, Exception) else RecordUnavailable("interrupted")
            )
            future.exception()  # nobody may be waiting: the error is raised here anyway
            raise
        else:
            future.set_result(answer)
            self._remember(event_tag, FirstAnswer(body_tag, answer))
            return answer
        finally:
            del self._running[event_tag]

    def forget_answers(self) -> None:
        """Drop the answers kept for repeats; the ledger has those that may still be given."""
        self._recent.clear()

    async def _claimed(
        self,
        event_tag: str,
        body_tag: str,
        occurred_at: datetime,
        work: Callable[[], Awaitable[bytes]],
    ) -> bytes:
        try:
            earlier = await self._claims.take(event_tag, body_tag)
        except VelocityUnavailable:
            return await self._settled_by_ledger(event_tag, body_tag, work)
        if earlier is not None and earlier != body_tag:
            raise EventConflict
        if earlier is not None:
            if first := await self._answer_of_other(event_tag):
                return _same_body(first, body_tag)
        elif (
            datetime.now(UTC) - occurred_at > LOOK_UP_OLDER_THAN
            and (first := await self._recorded.first_answer(event_tag)) is not None
        ):
            return _same_body(first, body_tag)
        try:
            return await self._settled_by_ledger(event_tag, body_tag, work)
        except DuplicateEvent:
            raise
        except Exception:
            await self._claims.release(event_tag)
            raise

    async def _settled_by_ledger(
        self, event_tag: str, body_tag: str, work: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        try:
            return await work()
        except DuplicateEvent:
            first = await self._recorded.first_answer(event_tag)
            if first is None:
                raise RecordUnavailable("the first answer to this event cannot be read") from None
            return _same_body(first, body_tag)

    async def _answer_of_other(self, event_tag: str) -> FirstAnswer | None:
        """Return the answer of the process that claimed the event, waiting a little for it."""
        give_up_at = monotonic() + OTHER_PROCESS_WAIT_SECONDS
        while True:
            if (first := await self._recorded.first_answer(event_tag)) is not None:
                return first
            if monotonic() >= give_up_at:
                return None
            await asyncio.sleep(0.003)

    def _remember(self, event_tag: str, first: FirstAnswer) -> None:
        self._recent[event_tag] = first
        if len(self._recent) > RECENT_ANSWERS:
            self._recent.popitem(last=False)


def _same_body(first: FirstAnswer, body_tag: str) -> bytes:
    if first.body_tag != body_tag:
        raise EventConflict
    return first.answer
