"""How is the record read back while the service runs?

Turns ledger entries into answers. Invariant: what comes back is what was answered, byte for byte,
or `RecordUnavailable`; never a guess.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import orjson

from service.errors import DecisionErased, DecisionRestricted, RecordUnavailable
from service.idempotency import FirstAnswer
from service.ledger.errors import LedgerUnavailable
from service.ledger.reader import FoundEntry, LedgerReader


class LedgerRecord:
    """The `Recorded` of the running service."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    async def first_answer(self, event_tag: str) -> FirstAnswer | None:
        entry = await _found(
            self._reader.find_by_event_key(
                event_tag.encode(), with_subject=True, even_restricted=True
            )
        )
        if entry is None or entry.body_hash is None:
            return None
        answer = answer_of(entry)
        if answer is None:
            raise RecordUnavailable("the first answer to this event cannot be read (any more)")
        return FirstAnswer(entry.body_hash.decode(), orjson.dumps(answer))

    async def decision(self, entry_id: bytes) -> dict[str, Any] | None:
        """Return the answer of a decision, `None` when there is no such decision.

        Raises `DecisionErased`, `DecisionRestricted`, and `RecordUnavailable` when it cannot be
        read in time.
        """
        entry = await _found(self._reader.find_by_entry_id(entry_id, with_subject=True))
        if entry is None or entry.type != "decision":
            return None
        if entry.core is None or entry.subject_state == "erased":
            raise DecisionErased
        if entry.subject_state == "restricted":
            raise DecisionRestricted
        answer = answer_of(entry)
        if answer is None:
            raise RecordUnavailable("the entry waits in the spool")
        return answer

    async def ping(self) -> None:
        """Return when PostgreSQL answers; raise `RecordUnavailable` otherwise."""
        try:
            await self._reader.ping()
        except LedgerUnavailable:
            raise RecordUnavailable("PostgreSQL does not answer") from None


def answer_of(entry: FoundEntry) -> dict[str, Any] | None:
    """Return the answer to an event as it was given; None when not all of it can be read.

    Its `event_id` is in the subject block (in entries of early releases in the core block).
    """
    if entry.core is None:
        return None
    answer: dict[str, Any] = entry.core["answer"]
    if answer["event_id"] is None:
        if entry.subject is None:
            return None
        answer["event_id"] = entry.subject["event_id"]
    return answer


async def _found(search: Awaitable[FoundEntry | None]) -> FoundEntry | None:
    try:
        return await search
    except LedgerUnavailable:
        raise RecordUnavailable("the record cannot be read") from None
