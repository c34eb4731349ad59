"""Persons' rights on the command line, beside a service of two workers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.events import event
from tests.http_client import Client
from tests.rights import compliance_keys
from tests.running import environment_of, service_process, settings_on
from tests.served import Served

PERSON = "user=u-command\nemail=command@example.com\n"


class Desk:
    """A service of two workers, and what two people type beside it."""

    def __init__(self, settings: Settings, port: int, program: str, keys: list[str]) -> None:
        self.settings = settings
        self.port = port
        self.program = program
        self._keys = keys

    def says(self, who: int, *words: str, typed: str = "", code: int = 0) -> str:
        """Run `touchstone`; return what it says, or its error."""
        url = f"http://127.0.0.1:{self.port}"
        wanted = ["--url", url] if words[:2] != ("ledger", "retention") else []
        done = subprocess.run(
            [str(Path(sys.executable).with_name("touchstone")), *words, *wanted,
             "--var", str(self.settings.var)],
            input=typed, capture_output=True, text=True, check=False,
            env={**os.environ, **environment_of(self.settings), "NO_COLOR": "1",
                 "COLUMNS": "200", "TOUCHSTONE_API_KEY": self._keys[who]},
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "command@example.com" not in done.stdout + done.stderr
        return done.stderr if code else done.stdout

    def send(self, count: int) -> list[tuple[int, str]]:
        """Send events of the person, each on a connection of its own, and read them back."""
        return asyncio.run(self._send(count))

    async def _send(self, count: int) -> list[tuple[int, str]]:
        user = {"id": "u-command", "email": "command@example.com"}
        found = []
        for _ in range(count):
            async with Client(self.program, port=self.port) as client:
                answer = await client.score(event("coupon_redemption", user=user))
                decision = answer.json["decision_id"]
            async with Client(self.program, port=self.port) as client:
                found.append(((await client.get(f"/v1/decisions/{decision}")).status, decision))
        return found

    def status(self, decision: str) -> int:
        """Return the status of a decision that is read."""

        async def read() -> int:
            async with Client(self.program, port=self.port) as client:
                return (await client.get(f"/v1/decisions/{decision}")).status

        return asyncio.run(read())

    def rows(self, query: str) -> list[Any]:
        """Return what a query finds."""

        async def fetch() -> list[Any]:
            connection = await asyncpg.connect(self.settings.postgres.url)
            try:
                return list(await connection.fetch(query))
            finally:
                await connection.close()

        return asyncio.run(fetch())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A service of two workers on servers of its own."""
    base = tmp_path_factory.mktemp("commands")
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000)
        with service_process(settings, base / "log", workers=2) as (running, program):
            yield Desk(settings, _port(running), program, asyncio.run(compliance_keys(settings)))


def _port(running: Served) -> int:
    return running.port


def test_two_people_erase_a_person_and_both_workers_forget(desk: Desk, tmp_path: Path) -> None:
    """Identifiers are read from standard input; what the person does afterwards can be read."""
    before = desk.send(10)
    assert {status for status, _ in before} == {200}
    out = tmp_path / "held.html"
    desk.says(
        0, "subject", "export", "--purpose", "asked by phone", "--out", str(out), "--html",
        "--language", "zh", typed=PERSON,
    )  # fmt: skip
    assert "我们持有的关于您的信息" in out.read_text(encoding="utf-8")
    assert out.stat().st_mode & 0o077 == 0
    asked = desk.says(0, "ledger", "erase", "request", "--purpose", "case 1", typed=PERSON)
    assert "10 entries are the person's" in asked
    [request] = json.loads(desk.says(0, "ledger", "erase", "list", "--json"))
    number = str(request["id"])
    alone = desk.says(0, "ledger", "erase", "execute", number, "--purpose", "case 1", code=1)
    assert "Nobody decides on what they asked for" in alone
    assert "case 1" in desk.says(1, "ledger", "erase", "show", number)
    done = desk.says(1, "ledger", "erase", "execute", number, "--purpose", "checked")
    assert "executed by decider" in done
    assert "10 entries" in done
    assert {desk.status(decision) for _, decision in before} == {410}
    after = desk.send(20)
    assert {status for status, _ in after} == {200}, "a worker sealed under a destroyed key"
    assert not desk.rows("SELECT FROM entry_subject s JOIN destroyed_key d ON d.key_id = s.key_id")


def test_a_restriction_and_retention_on_the_command_line(desk: Desk) -> None:
    """A restriction is added and lifted by two people; a dry run deletes nothing."""
    asked = desk.says(0, "ledger", "restrict", "add", "--purpose", "case 2", typed="user=u-2\n")
    number = asked.split()[0]
    assert "restrict" in asked
    assert "lifted by decider" in desk.says(
        1, "ledger", "restrict", "lift", number, "--purpose", "settled"
    )
    assert "No request is open." in desk.says(0, "ledger", "erase", "list")
    nobody = desk.says(0, "ledger", "restrict", "add", "--purpose", "case 3", typed="x\n", code=2)
    assert "line 1 is not kind=value" in nobody
    entries = desk.rows("SELECT count(*) FROM ledger_entry")
    said = desk.says(0, "ledger", "retention", "run", "--dry-run")
    assert "subject blocks would be deleted" in said
    assert desk.rows("SELECT count(*) FROM ledger_entry") == entries
    assert "0 core blocks deleted" in desk.says(0, "ledger", "retention", "run")
    [last] = desk.rows("SELECT count(*) AS n FROM ledger_entry WHERE type = 'retention.run'")
    assert last["n"] == 2
