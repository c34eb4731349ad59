"""How is the record read back while the service runs?

Turns ledger entries into answers. Invariant: what comes back is what was answered, byte for byte,
or `RecordUnavailable`; never a guess.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import orjson

from service.errors import RecordUnavailable
from service.idempotency import FirstAnswer
from service.ledger.errors import LedgerUnavailable
from service.ledger.reader import FoundEntry, LedgerReader


class LedgerRecord:
    """The `Recorded` of the running service."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    async def first_answer(self, event_tag: str) -> FirstAnswer | None:
        entry = await _found(self._reader.find_by_event_key(event_tag.encode()))
        if entry is None or entry.body_hash is None:
            return None
        if entry.core is None:
            raise RecordUnavailable("the first answer to this event is past its retention")
        return FirstAnswer(entry.body_hash.decode(), orjson.dumps(entry.core["answer"]))

    async def decision(self, entry_id: bytes) -> dict[str, Any] | None:
        """Return the answer of a decision, `None` when there is no such decision.

        Raises `RecordUnavailable` when PostgreSQL does not answer in time.
        """
        entry = await _found(self._reader.find_by_entry_id(entry_id))
        if entry is None or entry.type != "decision" or entry.core is None:
            return None
        answer: dict[str, Any] = entry.core["answer"]
        return answer

    async def ping(self) -> None:
        """Return when PostgreSQL answers; raise `RecordUnavailable` otherwise."""
        try:
            await self._reader.ping()
        except LedgerUnavailable:
            raise RecordUnavailable("PostgreSQL does not answer") from None


async def _found(search: Awaitable[FoundEntry | None]) -> FoundEntry | None:
    try:
        return await search
    except LedgerUnavailable:
        raise RecordUnavailable("the record cannot be read") from None
