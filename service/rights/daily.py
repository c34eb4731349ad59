"""Who deletes what is past its time? The service itself, once a day, whichever worker is first.

Invariant: two runs never overlap (`run_retention` takes a lock), and a run that fails is tried
again an hour later. Of the machine's clock and PostgreSQL's the earlier one counts (embedded, they
are one clock), and a mark that is still to come does not keep the next run away.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from service.actions import SYSTEM, Actions
from service.background import Background
from service.backup.changes import forget_changes
from service.rights.periods import Periods
from service.rights.retention import RetentionBusy, run_retention
from service.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 3600.0
EVERY = timedelta(hours=23)
# Workers on other machines may be ahead by this much.
CLOCKS_DIFFER = timedelta(hours=1)
# After a start others come first.
FIRST_LOOK_SECONDS = 60.0

_TAKEN = """
INSERT INTO retention_mark (block, done_up_to) VALUES ('run', $1)
ON CONFLICT (block) DO UPDATE SET done_up_to = $1
WHERE retention_mark.done_up_to NOT BETWEEN $2 AND $3
RETURNING true
"""
_FAILED = "UPDATE retention_mark SET done_up_to = $1 WHERE block = 'run'"


class DailyRetention:
    """Runs beside the requests of one worker; use as an async context manager."""

    def __init__(self, settings: Settings, actions: Actions) -> None:
        self._settings = settings
        self._actions = actions
        self._looking = Background("retention")

    async def __aenter__(self) -> Self:
        if self._settings.retention.daily:
            self._looking.start(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._looking.end()

    async def _run(self) -> None:
        await asyncio.sleep(FIRST_LOOK_SECONDS)
        while True:
            try:
                await self.look(datetime.now(UTC))
            except RetentionBusy:
                log.info("another retention run is under way")
            except Exception:  # whatever it is, the service goes on, and tries again
                log.exception("what is past its time could not be deleted")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: datetime) -> bool:
        """Run when nobody did for a day before `now` (aware); say whether it ran."""
        async with self._actions.connection() as connection:
            now = min(now, await connection.fetchval("SELECT now()"))
            if not await connection.fetchval(_TAKEN, now, now - EVERY, now + CLOCKS_DIFFER):
                return False
            try:
                await retain(connection, self._actions, self._settings, now, {"actor": SYSTEM})
            except BaseException:
                await connection.execute(_FAILED, now - EVERY)
                raise
            return True


async def retain(
    connection: Any,
    actions: Actions,
    settings: Settings,
    now: datetime,
    who: dict[str, str],
) -> dict[str, int]:
    """Delete what is past its time and record it; return how much went."""
    periods = Periods.of(settings)
    cutoffs = {name: at.isoformat() for name, at in periods.cutoffs(now).items()}
    async with actions.action("retention.run", who, step="begun", before=cutoffs):
        pass  # nothing goes before it is recorded that it will
    deleted = await run_retention(connection, periods, settings.retention.header_days, now)
    await forget_changes(connection, now)
    async with actions.action("retention.run", who, step="done", deleted=deleted.counts()):
        pass
    return deleted.counts()
