"""Which acknowledged entries of this process are not in PostgreSQL yet?

The spool file and an index of it, so that a repeat of a spooled event is seen and its entry is
found. Invariant: an entry is in the index only after its group was fsynced.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from service.ledger.errors import SpoolBroken, SpoolFull
from service.ledger.frames import Group, decoded, encoded, month_key_rows, subject_key_rows
from service.ledger.row import SealedEntry, StoredRow
from service.ledger.spool import Found, Spool

log = logging.getLogger(__name__)


class Backlog:
    """The spool of one writer process. With `max_bytes=0` it takes nothing."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._places: dict[bytes, int] = {}
        self._owners: dict[bytes, bytes] = {}
        self.spool = self._fresh() if max_bytes else None

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size_bytes(self) -> int:
        """Bytes in the spool file."""
        return self.spool.size_bytes if self.spool else 0

    def owner_of(self, event_key: bytes | None) -> bytes | None:
        """Return the id of the spooled entry that has the event key."""
        return None if event_key is None else self._owners.get(event_key)

    async def put(self, rows: Sequence[StoredRow], entries: Sequence[SealedEntry]) -> int:
        """Make the rows durable, from the first on; return how many fitted.

        Raises `SpoolBroken`; with `is_unsure` it is then not known whether any is in the file.
        """
        if self.spool is None:
            return 0
        count, payload = len(rows), b""
        room = self.spool.room_bytes()
        while count:
            keys = entries[:count]
            group = Group(
                month_key_rows(key for entry in keys for key in entry.month_keys),
                subject_key_rows(entry.subject_key for entry in keys),
                list(rows[:count]),
            )
            payload = encoded(group)
            if len(payload) <= room:
                break
            count -= max(count // 4, 1)
        if not count:
            return 0
        try:
            begin = await asyncio.to_thread(self.spool.append, payload)
        except SpoolFull:
            return 0
        for row in rows[:count]:
            self._places[row.entry_id] = begin
            if row.event_key is not None:
                self._owners[row.event_key] = row.entry_id
        return count

    @property
    def is_unsure(self) -> bool:
        """Whether the last group may be in the file although `put` failed."""
        return self.spool is not None and self.spool.broken is not None

    def find(
        self, *, entry_id: bytes | None = None, event_key: bytes | None = None
    ) -> StoredRow | None:
        """Return a spooled entry by its id or its event key."""
        entry_id = entry_id or self.owner_of(event_key)
        place = None if entry_id is None else self._places.get(entry_id)
        if place is None or self.spool is None:
            return None
        piece = next(self.spool.groups(place), None)
        rows = decoded(piece.payload).rows if isinstance(piece, Found) else []
        return next((row for row in rows if row.entry_id == entry_id), None)

    async def clear(self, *, damaged: bool) -> None:
        """Forget what was drained. A damaged file is kept under another name and replaced."""
        self._places.clear()
        self._owners.clear()
        if self.spool is None or self.spool.is_empty:
            return
        try:
            if damaged:
                log.error("kept what cannot be read as %s", self.spool.keep_as_damaged())
                self.spool = self._fresh()
            else:
                await asyncio.to_thread(self.spool.clear)
        except (SpoolBroken, OSError) as error:
            # Nothing is lost: whoever drains the file again finds its entries stored.
            log.exception("the spool could not be cleared and takes nothing more")
            self.spool.broken = str(error)

    def close(self) -> None:
        """Leave what is spooled for the next start; remove an empty file."""
        if self.spool is not None:
            if self.spool.is_empty:
                self.spool.remove()
            else:
                self.spool.release()

    def _fresh(self) -> Spool:
        return Spool.create(self._directory, os.urandom(16).hex(), self._max_bytes)
