"""Emergency stops over time: what nobody confirms lapses, and that is recorded once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from service.embedded import EmbeddedServers
from service.rule_sets.stopping import confirm, stop
from service.rule_sets.store import stops
from tests.rule_sets import FIRST, people
from tests.running import entries, service_here, settings_on

RULE = "coupon-crowded-address"


async def test_a_lapse_is_recorded_once(
    servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Of two services one records that a stop lapsed, soon; what was confirmed stays."""
    FIRST.write(tmp_path / "rules")
    settings = settings_on(servers, tmp_path, patient_ms=5000, rules_dir=tmp_path / "rules")
    settings = settings.model_copy(
        update={"postgres": settings.postgres.model_copy(update={"url": fresh_postgres_url})}
    )
    await people(settings)
    other = settings.model_copy(update={"var": tmp_path / "other"})
    async with service_here(settings), service_here(other):
        database = await asyncpg.connect(fresh_postgres_url)
        soon = timedelta(milliseconds=300)
        for rule, actor in ((RULE, "ana"), ("login-many-failures", "bo")):
            await stop(database, rule, actor=actor, reason="x", confirm_within=soon)
        await confirm(database, RULE, actor="cy")
        now = datetime.now(UTC)
        effective = [one.rule_id for one in await stops(database) if one.is_effective(now)]
        assert effective == [RULE, "login-many-failures"]
        for _ in range(100):
            await asyncio.sleep(0.05)
            lapsed = await database.fetchval(
                "SELECT count(*) FROM rule_stop WHERE lapsed_at > '-infinity'"
            )
            if lapsed:
                break
        assert [one.rule_id for one in await stops(database)] == [RULE]
        await asyncio.sleep(1.2)  # the other service looks, too
        await database.close()
    found = [one.type for one in await entries(settings) if one.type == "rules.stop_lapse"]
    assert len(found) == 1
