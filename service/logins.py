"""Who came in, and who tried to with a key that is known?

A person's first use of a key in an hour, and refused attempts with the id of a key that there is,
become entries of type `login`. Invariants: nobody waits for it, and a program's requests are not
touched; entries are bounded in number whatever is tried, and what was left out is counted in the
next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter, deque
from datetime import UTC, datetime
from typing import Any, Self

import orjson

from service.background import Background
from service.clock import monotonic
from service.ledger.entry import EntryDraft
from service.ledger.errors import LedgerError
from service.ledger.writer import LedgerWriter

# Each process for itself: what matters is that somebody was in, not how often.
USE_SECONDS = 3600.0
# Refused attempts with one key become one entry a minute, with how many there were.
REFUSED_SECONDS = 60.0
MOST_WAITING = 1_000
APPEND_SECONDS = 5.0
RETRY_SECONDS = 2.0

log = logging.getLogger(__name__)


class Logins:
    """The entries about logins of one process. Use as an async context manager."""

    def __init__(self, ledger: LedgerWriter) -> None:
        self._ledger = ledger
        self._used: dict[str, float] = {}
        self._refused: dict[str, float] = {}
        self._attempts: Counter[tuple[str, str, str]] = Counter()
        self._waiting: deque[EntryDraft] = deque()
        self._wake = asyncio.Event()
        self._lost = 0
        self._recording = Background("logins")

    async def __aenter__(self) -> Self:
        self._recording.start(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Record what waits, as far as that is possible at once."""
        await self._recording.end()
        self._count_refused(everything=True)
        with contextlib.suppress(LedgerError):
            await self._record()

    def used(self, key_id: str, person: str, roles: tuple[str, ...]) -> None:
        """Note that a person uses a key; costs a look-up but for the first time in an hour."""
        now = monotonic()
        if now < self._used.get(key_id, 0.0):
            return
        self._used[key_id] = now + USE_SECONDS
        self._put({"result": "in", "roles": list(roles)}, {"actor": person, "key": key_id})

    def refused(self, key_id: str, actor: str, why: str) -> None:
        """Note an attempt with the id of a key: `why` is `wrong_secret` or `revoked`."""
        self._attempts[key_id, actor, why] += 1
        if monotonic() >= self._refused.get(key_id, 0.0):
            self._count_refused()

    def _count_refused(self, *, everything: bool = False) -> None:
        """Turn the attempts with keys whose minute is over into entries."""
        now = monotonic()
        for (key_id, actor, why), attempts in list(self._attempts.items()):
            if everything or now >= self._refused.get(key_id, 0.0):
                del self._attempts[key_id, actor, why]
                self._refused[key_id] = now + REFUSED_SECONDS
                what = {"result": "refused", "why": why, "attempts": attempts}
                self._put(what, {"actor": actor, "key": key_id})

    def _put(self, what: dict[str, Any], who: dict[str, Any]) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            return
        lost, self._lost = self._lost, 0
        said = {"action": "login", **what, **({"left_out": lost} if lost else {})}
        self._waiting.append(
            EntryDraft(
                entry_id=os.urandom(16),
                type="login",
                event_key=None,
                body_hash=None,
                observed_at=datetime.now(UTC),
                versions={},
                core=orjson.dumps(said),
                staff=orjson.dumps(who),
            )
        )
        self._wake.set()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFUSED_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            self._count_refused()
            try:
                await self._record()
            except LedgerError:
                log.warning("logins cannot be recorded at the moment: they wait")
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    async def _record(self) -> None:
        while self._waiting:
            await self._ledger.append(self._waiting[0], timeout_s=APPEND_SECONDS)
            self._waiting.popleft()
