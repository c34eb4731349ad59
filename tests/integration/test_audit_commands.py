"""Search, explain and replay on the command line, with a running service."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from service.api_key import KeyHash
from service.embedded import EmbeddedServers
from service.secrets_files import read_keys
from service.settings import Settings
from tests.events import event
from tests.http_client import Client
from tests.people import person_key
from tests.running import environment_of, service_process, settings_on
from tests.served import touchstone

WHY = ("--purpose", "complaint 17")


async def officer_key(settings: Settings) -> str:
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        hashed = KeyHash(read_keys(settings).tag)
        return await person_key(connection, hashed, "cora", "compliance")
    finally:
        await connection.close()


async def decisions(port: int, key: str) -> list[str]:
    async with Client(key, port=port) as client:
        events = [event("checkout", user={"id": user}) for user in ("u-cli", "u-cli", "u-other")]
        return [answer.json["decision_id"] for answer in await client.score_all(events)]


@pytest.mark.timeout(400)  # half a dozen processes
def test_an_officer_finds_explains_and_computes_again(
    servers: EmbeddedServers, tmp_path: Path, fresh_postgres_url: str, fresh_valkey_url: str
) -> None:
    """Found by a value from standard input, shown in both languages, equal when computed again."""
    settings = settings_on(servers, tmp_path, patient_ms=10_000)
    settings = settings.model_copy(
        update={
            "postgres": settings.postgres.model_copy(update={"url": fresh_postgres_url}),
            "valkey": settings.valkey.model_copy(update={"url": fresh_valkey_url}),
        }
    )
    with service_process(settings, tmp_path / "log", workers=1) as (served, key):
        first, second, other = asyncio.run(decisions(served.port, key))
        run = _runner(settings, asyncio.run(officer_key(settings)), served.port)
        said = run("search", "user=-", "--since", "2026-01-01", *WHY, given="u-cli\n")
        assert first in said
        assert second in said
        assert other not in said
        assert "2 entries." in said
        assert "如何要求人工处理" in run("explain", first, "--language", "zh", *WHY)
        assert "No such entry" in run("reveal", "00" * 16, *WHY, fails=True)
        again = _runner(settings)
        assert "3 of 3 decisions computed again are equal to the bit." in again("replay")
        again("replay", "--entry", "00" * 16, fails=True)


def _runner(
    settings: Settings, key: str | None = None, port: int | None = None
) -> Callable[..., str]:
    def run(*words: str, given: str = "", fails: bool = False) -> str:
        where = () if port is None else ("--url", f"http://127.0.0.1:{port}")
        done = subprocess.run(
            [*touchstone("ledger", *words, *where), "--var", str(settings.var)],
            capture_output=True,
            text=True,
            check=False,
            input=given,
            env={
                **os.environ,
                **environment_of(settings),
                "TOUCHSTONE_API_KEY": key or "",
                "NO_COLOR": "1",
            },
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert (done.returncode != 0) is fails, said
        return said

    return run
