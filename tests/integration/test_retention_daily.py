"""Does retention run once a day, whichever worker is first and whatever its clock says?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from service.embedded import EmbeddedServers
from service.rights.daily import DailyRetention
from tests.running import service_here, settings_on

HOUR = timedelta(hours=1)
_RUNS = "SELECT count(*) FROM ledger_entry WHERE type = 'retention.run'"
_MARK = "UPDATE retention_mark SET done_up_to = $1 WHERE block = 'run'"


async def test_once_a_day(
    servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Each run is recorded before and after; a failed one is tried again; clocks do little harm."""
    settings = settings_on(servers, tmp_path, patient_ms=10_000)
    postgres = settings.postgres.model_copy(update={"url": fresh_postgres_url})
    settings = settings.model_copy(update={"postgres": postgres})
    now = datetime.now(UTC)
    async with service_here(settings) as here:
        connection = await asyncpg.connect(fresh_postgres_url)
        daily = DailyRetention(settings, here.runtime.actions)
        assert await daily.look(now - 48 * HOUR)
        assert not await daily.look(now - 47 * HOUR)
        assert not await daily.look(now - 48 * HOUR - timedelta(seconds=5)), "a worker a bit behind"
        assert await daily.look(now - 24 * HOUR)
        assert await connection.fetchval(_RUNS) == 4

        await connection.execute(_MARK, now + 365 * 24 * HOUR)
        assert await daily.look(now), "a clock was a year ahead once"
        assert not await daily.look(now + 30 * 24 * HOUR), "PostgreSQL's clock says otherwise"

        await connection.execute("ALTER TABLE label RENAME TO label_away")
        await connection.execute(_MARK, now - 24 * HOUR)
        with pytest.raises(asyncpg.UndefinedTableError):
            await daily.look(now)
        await connection.execute("ALTER TABLE label_away RENAME TO label")
        assert await daily.look(datetime.now(UTC))
        await connection.close()
