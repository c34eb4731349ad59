"""Is what was recorded also placed and signed, and how far behind is it?

Looks every two seconds, for `/readyz`, the metrics and nothing else: no decision waits for a
checkpoint. Invariant: it is only said to be well while the last look was answered and nothing has
waited longer than a checkpoint may take.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, NamedTuple

import asyncpg

from service.background import Background
from service.counted import filled
from service.ledger.drain import AWAY
from service.metrics import Metrics

LOOK_SECONDS = 2.0
STATEMENT_SECONDS = 1.0
# A checkpoint takes one to two seconds, and has ten.
LATE_SECONDS = 10.0
# One is due every hour.
OLD_SECONDS = 2 * 3600
# Counting more than this helps nobody.
MOST_COUNTED = 100_000

_LOOK = f"""
SELECT coalesce((SELECT size FROM ledger_tree), 0) AS placed,
       (SELECT count(*) FROM (SELECT FROM ledger_queue LIMIT {MOST_COUNTED}) queued) AS queued,
       last.id, coalesce(last.size, 0) AS signed,
       extract(epoch FROM now() - last.signed_at)::float8 AS age_seconds,
       (SELECT code FROM ledger_signer) AS code
FROM (SELECT) AS always
LEFT JOIN (SELECT id, size, signed_at FROM ledger_checkpoint ORDER BY id DESC LIMIT 1) AS last
ON true
"""  # noqa: S608 - a number of ours


class Look(NamedTuple):
    """What one look saw. `last`: the last checkpoint; `code`: why the signer refuses."""

    placed: int
    queued: int
    last: int | None
    signed: int
    age_seconds: float | None
    code: str | None

    @property
    def unsigned(self) -> int:
        """Entries that no checkpoint covers."""
        return self.queued + max(self.placed - self.signed, 0)


class RecordWatch:
    """The looks of one process. Use as a context manager."""

    def __init__(self, pool: Any, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._looking = Background("record-watch")
        self._look: Look | None = None
        self._looked_at = 0.0
        self._waits_for: int | None = None
        self._waits_since: float | None = None

    async def __aenter__(self) -> RecordWatch:
        self._looking.start(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._looking.end()

    def state(self) -> tuple[bool, str]:
        """Return whether the record is signed in time, and what to say about it."""
        look, now = self._look, time.monotonic()
        if look is None or now - self._looked_at > 3 * LOOK_SECONDS:
            return False, "not known: PostgreSQL does not answer"
        said = filled("{:# entry|# entries} signed, {} not yet", look.signed, look.unsigned)
        if look.code is not None:
            return False, f"{said}; the signer refuses ({look.code}): `touchstone ledger status`"
        waits = self._waited(now)
        if waits > LATE_SECONDS:
            return False, f"{said}, for {waits:.0f} s: `touchstone ledger status` says why"
        if look.age_seconds is not None and look.age_seconds > OLD_SECONDS:
            return False, f"{said}; the last checkpoint is {look.age_seconds / 3600:.1f} h old"
        return True, said

    async def look(self) -> None:
        """Look once; raises what asyncpg raises."""
        row = await self._pool.fetchrow(_LOOK, timeout=STATEMENT_SECONDS)
        look, now = Look(*row), time.monotonic()
        if not look.unsigned:
            self._waits_since = None
        elif self._waits_since is None or look.last != self._waits_for:
            self._waits_since = now
        self._waits_for = look.last
        self._look, self._looked_at = look, now
        metrics = self._metrics
        metrics.tree_size.set(look.placed)
        metrics.queue_length.set(look.queued)
        metrics.unsigned_seconds.set(self._waited(now))
        metrics.checkpoint_age.set(look.age_seconds or 0.0)
        metrics.signer_refuses.set(0 if look.code is None else 1)

    def _waited(self, now: float) -> float:
        return 0.0 if self._waits_since is None else now - self._waits_since

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(asyncpg.PostgresError, *AWAY):
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)
