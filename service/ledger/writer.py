"""How does an entry become durable before its answer leaves?"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from service.ledger.entry import EntryDraft
from service.ledger.keys import Keyring


class WriterStatus(NamedTuple):
    """What the writer is doing. `mode` is `live`, `spooling` or `closed`."""

    mode: str
    queued: int
    spooled_entries: int
    spooled_bytes: int
    drained_entries: int
    superseded_entries: int
    last_error: str | None


class WriterSettings(NamedTuple):
    """Where the writer writes. `spool_max_bytes=0`: no spool."""

    dsn: str
    log: str
    spool_dir: Path
    spool_max_bytes: int = 64 * 1024 * 1024


class LedgerWriter(Protocol):
    """Signatures only while the writer is being written; the class keeps exactly these.

    `start` checks durability settings and the KEK, drains leftover spools; with PostgreSQL away it
    starts in spool mode. `append` returns when the entry is durable.
    """

    @classmethod
    async def start(cls, settings: WriterSettings, ring: Keyring) -> LedgerWriter: ...

    async def append(self, draft: EntryDraft, *, timeout_s: float) -> None: ...

    def status(self) -> WriterStatus: ...

    async def close(self) -> None: ...
