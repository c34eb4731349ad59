"""The commands that show what shadows and rollouts do, as people run them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from service.embedded import EmbeddedServers
from tests.deploying import approved, deploy, in_shadow, pack_of, set_of
from tests.events import event
from tests.http_client import Client
from tests.live_cases import own_settings
from tests.running import environment_of, service_process
from tests.served import touchstone

FIRST = set_of(pack_of("mark-0", outcome="review"))
CANDIDATE = set_of(pack_of("mark-1", outcome="decline"))
SHADOW = set_of(pack_of("mark-2", outcome="challenge"))


async def test_reports_are_shown(
    servers: EmbeddedServers, tmp_path: Path, fresh_postgres_url: str
) -> None:
    """`rules shadow-report` and `rules rollout-report` say what both sets did, with intervals."""
    settings = own_settings(servers, tmp_path, FIRST, fresh_postgres_url)
    with service_process(settings, tmp_path / "service.log", workers=1) as (served, key):
        connection = await asyncpg.connect(fresh_postgres_url)
        await approved(connection, CANDIDATE)
        await in_shadow(connection, SHADOW)
        await deploy(connection, "rollout", CANDIDATE, share_bp=5000)
        await connection.close()
        await asyncio.sleep(3)
        async with Client(key, port=served.port) as client:
            for number in range(60):
                await client.score(event("checkout", user={"id": f"u-{number}"}))
        await asyncio.sleep(3)

        async def shown(*words: str) -> str:
            process = await asyncio.create_subprocess_exec(
                *touchstone("rules", *words, "--url", f"http://127.0.0.1:{served.port}"),
                env={**environment_of(settings), "TOUCHSTONE_API_KEY": key, "PATH": "/usr/bin"},
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            assert process.returncode == 0
            return output.decode()

        text = await shown("shadow-report", SHADOW.version[:12])
        assert f"{SHADOW.version[:12]} in shadow: 60 decisions, 0 failed, 0 not looked at" in text
        assert "100.00 % (" in text
        assert "mark-2" in text
        text = await shown("rollout-report")
        assert f"{CANDIDATE.version[:12]} for 50 % against {FIRST.version[:12]}: 60" in text
        assert "+100.00 (" in text
        assert '"subjects"' in await shown("rollout-report", CANDIDATE.version[:8], "--json")
