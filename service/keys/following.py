"""How does a running process follow what is agreed about keys?

It is told of each change (`service/changes.py`), gets the keys that the change asks for, and takes
it up between two batches. Invariant: one that cannot get a key stays as it was, works on, and holds
up the rotation, which names it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from service.keys.held import HeldKeks
from service.ledger.agreed import CHANNEL, Agreed, get_ready, read_agreed, take_up
from service.ledger.keys import Keyring
from service.ledger.writer import LedgerWriter

__all__ = ["CHANNEL", "KeysFollower"]


class KeysFollower:
    """Keeps one writer and its keyring, which wraps with `held`, at what is agreed."""

    def __init__(self, writer: LedgerWriter, ring: Keyring, held: HeldKeks) -> None:
        self._writer = writer
        self._ring = ring
        self._held = held
        self._last: Agreed | None = None

    async def refresh(self, connection: Any) -> None:
        """Take up what changed; raises `WrongKek` when a key cannot be had, and asyncpg's errors.

        `connection` is for reading; it is the writer's own that takes it up.
        """
        agreed = await read_agreed(connection)
        if agreed == self._last:
            return
        await get_ready(self._ring, agreed)

        async def act(stored_over: Any) -> None:
            await take_up(stored_over, self._ring, agreed)

        if await self._writer.between_batches(act):
            if agreed.kek is not None:
                await asyncio.to_thread(self._held.promote)
            self._last = agreed
