"""The embedded servers: what is written stays, nothing is left behind, nobody gets in the way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from service.embedded import EmbeddedServers, ServerUrls, VarInUse, attach_or_start

PARENT = """
import sys, time
from pathlib import Path
from service.embedded import EmbeddedServers
servers = EmbeddedServers.start(Path(sys.argv[1]))
print(servers.valkey.pid, servers.postgres.pid, flush=True)
time.sleep(120)
"""


def remember(urls: ServerUrls | EmbeddedServers, word: str) -> None:
    """Write a word into both servers."""

    async def act() -> None:
        connection = await asyncpg.connect(urls.postgres_url)
        await connection.execute("CREATE TABLE IF NOT EXISTS word (word text)")
        await connection.execute("INSERT INTO word VALUES ($1)", word)
        await connection.close()

    asyncio.run(act())
    assert urls.valkey_url is not None
    with redis.Redis.from_url(urls.valkey_url) as client:
        client.rpush("words", word)
        client.execute_command("WAITAOF", 1, 0, 5000)


def words(urls: ServerUrls | EmbeddedServers) -> tuple[list[str], list[str]]:
    """Read the words back from PostgreSQL and Valkey."""

    async def act() -> list[str]:
        connection = await asyncpg.connect(urls.postgres_url)
        rows = await connection.fetch("SELECT word FROM word")
        await connection.close()
        return [row["word"] for row in rows]

    assert urls.valkey_url is not None
    with redis.Redis.from_url(urls.valkey_url) as client:
        return asyncio.run(act()), [word.decode() for word in client.lrange("words", 0, -1)]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[Path], tuple[subprocess.Popen[str], list[int]]]]:
    """A function that starts servers in a process of their own: it and the servers' pids."""
    processes: list[subprocess.Popen[str]] = []

    def start(var: Path) -> tuple[subprocess.Popen[str], list[int]]:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(var)], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        return process, [int(word) for word in process.stdout.readline().split()]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_data_survives_a_stop(tmp_path: Path) -> None:
    """A stop saves everything; the next start finds it."""
    for count in (1, 2):
        with EmbeddedServers.start(tmp_path / "var") as servers:
            remember(servers, "kept")
            assert words(servers) == (["kept"] * count, ["kept"] * count)


@pytest.mark.parametrize("victims", [["parent"], ["valkey", "postgres", "parent"], ["postgres"]])
def test_a_killed_run_leaves_a_clean_state(
    tmp_path: Path,
    started: Callable[[Path], tuple[subprocess.Popen[str], list[int]]],
    victims: list[str],
) -> None:
    """After kill -9 of the parent, of everything, or of one server, the next start has it all."""
    var = tmp_path / "var"
    parent, pids = started(var)
    with attach_or_start(var) as urls:
        remember(urls, "kept")
    who = dict(zip(["valkey", "postgres", "parent"], [*pids, parent.pid], strict=True))
    for victim in victims:
        os.kill(who[victim], signal.SIGKILL)
    if "parent" not in victims:
        parent.kill()
    parent.wait()
    with EmbeddedServers.start(var) as servers:
        assert words(servers) == (["kept"], ["kept"])
        for pid in pids:
            assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_servers_end_with_a_killed_parent(
    tmp_path: Path, started: Callable[[Path], tuple[subprocess.Popen[str], list[int]]]
) -> None:
    """No server outlives the process that started it, even without a next start."""
    parent, pids = started(tmp_path / "var")
    servers = [psutil.Process(pid) for pid in pids]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while any(s.is_running() and s.status() != "zombie" for s in servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stale_pid_file_of_a_living_stranger_is_no_obstacle(tmp_path: Path) -> None:
    """A postmaster.pid that names somebody else's process neither stops us nor harms them."""
    var = tmp_path / "var"
    with EmbeddedServers.start(var) as servers:
        remember(servers, "kept")
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (var / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{var}/postgres\n0\n")
        with EmbeddedServers.start(var) as servers:
            assert words(servers)[0] == ["kept"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_start_is_told_who_has_the_directory(tmp_path: Path) -> None:
    """Two services cannot share a directory; the error names the process that has it."""
    with (
        EmbeddedServers.start(tmp_path / "var"),
        pytest.raises(VarInUse, match=f"in use by process {os.getpid()}"),
    ):
        EmbeddedServers.start(tmp_path / "var")


def test_a_command_attaches_to_running_servers(tmp_path: Path) -> None:
    """A command uses the servers of a running service and leaves them running."""
    with EmbeddedServers.start(tmp_path / "var") as servers:
        with attach_or_start(tmp_path / "var", valkey=False) as urls:
            assert urls == servers.urls()
        remember(servers, "still there")


def test_a_command_starts_only_what_it_needs(tmp_path: Path) -> None:
    """Without a running service a command starts its own PostgreSQL, and stops it again."""
    with attach_or_start(tmp_path / "var", valkey=False) as urls:
        assert urls.valkey_url is None
        assert urls.postgres_url is not None
    assert not (tmp_path / "var" / "run" / "embedded.json").exists()
    assert not (tmp_path / "var" / "valkey").exists()


def test_a_long_path_with_odd_characters_works(tmp_path: Path) -> None:
    """Sockets move elsewhere when the path is too long for one, and are removed with the rest."""
    var = tmp_path / ("long " * 20) / 'it\'s 100% "odd"?&' / "数据"
    with EmbeddedServers.start(var) as servers:
        remember(servers, "kept")
        assert words(servers) == (["kept"], ["kept"])
        assert servers._sockets is not None
        sockets = servers._sockets
    assert not sockets.exists()


def test_a_directory_closed_to_others_stays_closed(tmp_path: Path) -> None:
    """Servers run below a 0700 directory, and no permission of it is widened for them."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedServers.start(closed / "var") as servers:
        remember(servers, "kept")
        for server in (servers.valkey, servers.postgres):
            assert server is not None
            assert server.pid is not None
            assert psutil.Process(server.pid).uids().effective != 0 or os.geteuid() != 0
    assert closed.stat().st_mode & 0o777 == 0o700


def test_postgres_is_durable_and_reached_through_its_socket_only(postgres_url: str) -> None:
    """The settings that P1 rests on are on, and no port is open."""

    async def shown(*names: str) -> list[str]:
        connection = await asyncpg.connect(postgres_url)
        found = [await connection.fetchval(f"SHOW {name}") for name in names]
        await connection.close()
        return found

    durable = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
    assert asyncio.run(shown(*durable)) == ["on"] * 4
    assert asyncio.run(shown("listen_addresses")) == [""]


def test_a_dead_server_is_revived_at_the_same_address(tmp_path: Path) -> None:
    """What a crash of one server took down comes back under the URL that everybody has."""
    with EmbeddedServers.start(tmp_path / "var") as servers:
        remember(servers, "kept")
        before = servers.urls()
        assert servers.valkey is not None
        assert servers.valkey.pid is not None
        os.kill(servers.valkey.pid, signal.SIGKILL)
        revived: list[str] = []
        while not revived:  # until the kernel has ended it
            revived = servers.revive()
        assert revived == ["Valkey"]
        assert servers.urls() == before
        assert words(servers) == (["kept"], ["kept"])
