"""Exports on the command line, with a running service and all its processes, over a bad line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from service.api_key import KeyHash
from service.audit.package import verify
from service.embedded import EmbeddedServers
from service.secrets_files import read_keys
from service.settings import Settings
from tests.events import event
from tests.http_client import Client
from tests.people import person_key
from tests.running import environment_of, service_process, settings_on
from tests.served import touchstone

EVENTS = 25


@dataclass(frozen=True)
class Desk:
    """A running service and somebody's key."""

    settings: Settings
    url: str
    keys: dict[str, str]
    who: str = "cora"

    def run(self, *words: str, fails: bool = False) -> str:
        """Run a command of `touchstone ledger export`; return what it says."""
        done = subprocess.run(
            [
                *touchstone("ledger", "export", *words), "--var", str(self.settings.var),
                "--url", self.url, "--key", self.keys[self.who],
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment_of(self.settings), "NO_COLOR": "1"},
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert (done.returncode != 0) is fails, said
        return said


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A service with some decisions, as `touchstone serve` runs it."""
    base = tmp_path_factory.mktemp("exports")
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000)
        with service_process(settings, base / "log", workers=1) as (running, key):

            async def prepared() -> dict[str, str]:
                async with Client(key, port=running.port) as client:
                    bodies = [event("checkout", event_id=f"e{n}") for n in range(EVENTS)]
                    for answer in await client.score_all(bodies):
                        assert answer.status == 200, answer.content
                opened = await asyncpg.connect(settings.postgres.url)
                hashed = KeyHash(read_keys(settings).tag)
                keys = {
                    person: await person_key(opened, hashed, person, "compliance")
                    for person in ("cora", "carl")
                }
                while not await opened.fetchval(  # noqa: ASYNC110 - another process signs
                    "SELECT count(*) FROM ledger_checkpoint WHERE size > $1", EVENTS
                ):
                    await asyncio.sleep(0.1)
                await opened.close()
                return keys

            yield Desk(settings, f"http://127.0.0.1:{running.port}", asyncio.run(prepared()))


def test_a_month_goes_to_the_auditor(desk: Desk, tmp_path: Path) -> None:
    """Asked for by one, approved by another, fetched over a line that breaks, and proven."""
    said = desk.run("request", "--purpose", "the yearly audit", "--block", "core", "--type",
                    "decision")  # fmt: skip
    number = said.split()[1].rstrip(":")
    assert "the yearly audit" in desk.run("list")
    assert "approve it first" in desk.run("fetch", number, fails=True)
    assert "Two people" in desk.run("approve", number[:8], fails=True)
    carl = replace(desk, who="carl")
    approved = carl.run("approve", number[:8], "--note", "agreed")
    assert "Approved: core of decision, entries 0.." in approved
    assert "For: the yearly audit" in approved
    assert "Only who asked" in carl.run("fetch", number[:8], fails=True)
    file = tmp_path / "package.tar"
    remains_of_another(file, desk)
    with bad_line(desk.url, [30_000, 5_000, 70_000]) as (url, breaks):
        desk_far_away = replace(desk, url=url)
        desk_far_away.run("fetch", number[:8], "--out", str(file))
        assert breaks() == 3, "every line that breaks was tried"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.partial"))
    inode = file.stat().st_ino
    again = desk.run("fetch", number[:8], "--out", str(file), fails=True)
    assert f"{file} is there already, and is kept as it is" in again
    assert file.stat().st_ino == inode
    key = asyncio.run(vkey(desk.settings))
    assert verify.main([str(file), "--key", key]) == 0
    with tarfile.open(file) as tar:
        tar.extract("export.json", tmp_path, filter="data")
    kept = str(tmp_path / "export.json")
    (tmp_path / "other").write_text("{}", encoding="ascii")
    desk.run("request", "--purpose", "the next audit", "--since-checkpoint", kept)
    assert "neither a checkpoint" in desk.run(
        "request", "--purpose", "x", "--earlier", str(file.with_name("other")), fails=True
    )
    assert "leave out identifiers" in desk.run(
        "request", "--purpose", "for a@b.example", fails=True
    )
    assert "The export is expired" in carl.run("cancel", number[:8])
    assert "the export is expired" in desk.run("fetch", number[:8], fails=True)


def test_a_request_is_refused_and_another_withdrawn(desk: Desk) -> None:
    """A refusal says why; who asked can take a request back."""
    number = desk.run("request", "--purpose", "curiosity").split()[1].rstrip(":")
    carl = replace(desk, who="carl")
    carl.run("refuse", number[:8], "--reason", "no reason")
    assert "refused: no reason" in desk.run("list")
    assert "refused" in desk.run("fetch", number[:8], fails=True)
    number = desk.run("request", "--purpose", "a mistake").split()[1].rstrip(":")
    assert "withdrawn" in desk.run("cancel", number[:8])
    assert "no export" in desk.run("approve", "ffffffff", fails=True)


def remains_of_another(file: Path, desk: Desk) -> None:
    """Lay down what is left of the download of another package, as long as the newest one."""
    deadline = time.monotonic() + 60
    while (newest := json.loads(desk.run("list", "--json"))[0])["state"] != "ready":
        assert time.monotonic() < deadline, newest
    file.with_name(f"{file.name}.partial").write_bytes(bytes(newest["bytes"]))
    file.with_name(f"{file.name}.etag").write_text('"another-1"', encoding="ascii")


async def vkey(settings: Settings) -> str:
    opened = await asyncpg.connect(settings.postgres.url)
    try:
        return str(await opened.fetchval("SELECT vkey FROM ledger_signer_key"))
    finally:
        await opened.close()


@contextlib.contextmanager
def bad_line(url: str, limits: list[int]) -> Iterator[tuple[str, Callable[[], int]]]:
    """Stand between a client and the service, and cut downloads after so many bytes each.

    Gives the URL of the line and a function that says how many downloads it has cut.
    """
    left = list(limits)
    port = int(url.rpartition(":")[2])
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as service:
            request = client.recv(1 << 16)
            room = left.pop(0) if left and b"/package" in request else 1 << 40
            service.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            while room and (data := service.recv(min(room, 1 << 14))):
                client.sendall(data)
                room -= len(data)

    def accept() -> None:
        with contextlib.suppress(OSError):  # closed in the end
            while True:
                carry(listener.accept()[0])

    thread = threading.Thread(target=accept, name="line")
    thread.start()
    try:
        yield (
            f"http://127.0.0.1:{listener.getsockname()[1]}",
            lambda: len(limits) - len(left),
        )
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
