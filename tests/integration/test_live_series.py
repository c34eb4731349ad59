"""Series that a rule set declares are counted while it runs, and unknown until they are filled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from service.completeness import NO_GAP
from service.embedded import EmbeddedServers
from tests.deploying import approved, deploy, pack_of, set_of
from tests.events import event
from tests.live_cases import own_settings, until
from tests.running import environment_of, service_here
from tests.served import touchstone

SERIES = """\
series:
  - name: user_test_logins
    entity: user
    measure: count
    windows: [1h]
    events: [login]
"""


async def test_a_new_series_is_unknown_until_it_is_filled(
    tmp_path: Path, fresh_postgres_url: str, fresh_valkey_url: str, servers: EmbeddedServers
) -> None:
    """A rule on a series of its own set cannot know before `touchstone features backfill` has
    counted the ledger; then it knows what happened before the set was live."""
    first = set_of(pack_of("mark-0"))
    counting = set_of(pack_of("mark-1", when="user_test_logins_1h >= 3"), series=SERIES)
    settings = own_settings(servers, tmp_path, first, fresh_postgres_url)
    settings = settings.model_copy(
        update={"valkey": settings.valkey.model_copy(update={"url": fresh_valkey_url})}
    )
    async with service_here(settings) as here:
        for _ in range(3):
            assert (await here.client.score(event("login"))).json["degraded"] == []
        connection = await asyncpg.connect(fresh_postgres_url)
        await approved(connection, counting)
        await deploy(connection, "activate", counting)
        await connection.close()
        await until(lambda: here.runtime.brain.live.version == counting.version)
        answer = (await here.client.score(event("login"))).json
        assert answer["degraded"] == ["velocity"]
        assert [hit["status"] for hit in answer["rule_hits"]] == ["unknown"]

        command = touchstone("features", "backfill", "--var", str(settings.var), "--wait", "5")
        process = await asyncio.create_subprocess_exec(
            *command, env={**environment_of(settings), "PATH": "/usr/bin:/bin"}
        )
        assert await process.wait() == 0
        async with asyncio.timeout(10):
            while here.runtime.completeness.gaps() is not NO_GAP:  # noqa: ASYNC110 - a look a second
                await asyncio.sleep(0.1)
        answer = (await here.client.score(event("login"))).json
        assert answer["degraded"] == []
        assert [hit["status"] for hit in answer["rule_hits"]] == ["hit"]
        assert answer["outcome"] == "review"
