"""What does the ledger say about an entry or an event?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, Protocol


class FoundEntry(NamedTuple):
    """An entry, opened. `subject` is `None` unless asked for; `subject_state`: none|sealed|open|erased."""

    entry_id: bytes
    type: str
    event_key: bytes | None
    body_hash: bytes | None
    observed_at: datetime
    versions: dict[str, str]
    core: dict[str, Any]
    subject: dict[str, Any] | None
    subject_state: str
    key_names: dict[str, str | None]


class LedgerReader(Protocol):
    """Signatures only: LedgerReader(pool, ring, log, writer=None); raises LedgerUnavailable."""

    async def find_by_entry_id(
        self, entry_id: bytes, *, with_subject: bool = False
    ) -> FoundEntry | None: ...

    async def find_by_event_key(
        self, event_key: bytes, *, with_subject: bool = False
    ) -> FoundEntry | None: ...
