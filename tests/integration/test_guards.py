"""Who does not begin to record, and who goes on when sequencer and signer do not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from service.embedded import EmbeddedServers
from service.guards import check_record, writer_check
from service.ledger.keys import Keyring
from service.ledger.writer import LedgerWriter, WriterSettings
from service.migrate import migrate
from service.settings import Settings
from service.signer.errors import LogRolledBack, OtherSigner
from service.signer.state import KeyLink, SignerFiles, State
from tests.integration.ledger_cases import append_many
from tests.integration.sequencer_cases import until
from tests.keeping import checkpointed
from tests.running import settings_on
from tests.served import free_port, served, touchstone

pytest_plugins = ["tests.integration.ledger_fixtures"]
LOG = "test"


def settings_of(base: Path, **ledger: Any) -> Settings:
    """Settings of a machine whose signer lives in `base`."""
    return Settings(var=base, ledger={"log_name": LOG, "signer_dir": base / "signer", **ledger})


async def test_a_writer_does_not_come_back_to_an_older_database(
    ledger_dsn: str, ring: Keyring, tmp_path: Path
) -> None:
    """Restored under a running service, it gets nothing: entries wait in the spool."""
    server = await asyncpg.connect(ledger_dsn)
    dsn = ledger_dsn.replace("/postgres?", "/swapped?")
    for name in ("swapped", "older"):
        await server.execute(f"DROP DATABASE IF EXISTS {name}")
    await server.execute("CREATE DATABASE swapped")
    await migrate(dsn)
    settings = settings_of(tmp_path)
    writing = WriterSettings(dsn, LOG, tmp_path / "spool", check=writer_check(settings))
    writer = await LedgerWriter.start(writing, ring)
    await append_many(writer, 3)
    await writer.close()
    await server.execute("CREATE DATABASE older TEMPLATE swapped STRATEGY FILE_COPY")
    writer = await LedgerWriter.start(writing, ring)
    await append_many(writer, 2)
    await checkpointed(dsn, settings.signer_dir, LOG)

    await server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'swapped'"
    )
    await server.execute("DROP DATABASE swapped WITH (FORCE)")
    await server.execute("ALTER DATABASE older RENAME TO swapped")
    await append_many(writer, 1)
    await asyncio.sleep(0.5)
    status = writer.status()
    assert (status.mode, status.spooled_entries) == ("spooling", 1)
    assert "LogRolledBack" in str(status.last_error)
    await writer.close()
    with pytest.raises(LogRolledBack):
        await LedgerWriter.start(writing, ring)
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT count(*) FROM ledger_entry") == 3
    await connection.close()
    await server.close()


async def test_another_machine_signs_only_when_it_has_the_memory(
    ledger_dsn: str, writer: LedgerWriter, connection: Any, tmp_path: Path
) -> None:
    """A second machine with an empty directory is refused, unless it is set not to sign."""
    here, there = settings_of(tmp_path / "here"), settings_of(tmp_path / "there")
    await check_record(here, connection)  # nobody has signed: whoever starts may
    await append_many(writer, 1)
    await checkpointed(ledger_dsn, here.signer_dir, LOG)
    await check_record(here, connection)
    with pytest.raises(OtherSigner, match="TOUCHSTONE_LEDGER__SIGN=false"):
        await check_record(there, connection)
    await check_record(settings_of(tmp_path / "there", sign=False), connection)


async def test_a_signer_that_begins_meanwhile_is_no_other_signer(
    ledger_dsn: str, connection: Any, tmp_path: Path
) -> None:
    """At the first start workers look while the signer makes its key: nobody is refused for it."""
    settings = settings_of(tmp_path)
    files = SignerFiles(settings.signer_dir)
    signer = await asyncpg.connect(ledger_dsn)
    async with signer.transaction():
        await signer.execute("LOCK TABLE ledger_signer_key IN ACCESS EXCLUSIVE MODE")
        looks = asyncio.create_task(check_record(settings, connection))
        await until(lambda: _somebody_waits(signer))
        async with files.locked():
            state = State(LOG, (KeyLink(str(files.new_key(LOG)), None),))
            files.save(state)
        vkey = state.keys[-1].vkey
        await signer.execute("INSERT INTO ledger_signer_key (position, vkey) VALUES (1, $1)", vkey)
    await looks
    await signer.close()


async def _somebody_waits(connection: Any) -> bool:
    return bool(await connection.fetch("SELECT FROM pg_locks WHERE NOT granted"))


def test_the_service_does_not_start_with_a_placeholder(tmp_path: Path) -> None:
    """One line, before any server is started."""
    key = tmp_path / "kek.key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    done = subprocess.run(
        [*touchstone("serve", "--port", str(free_port()), "--var", str(tmp_path / "var"))],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "TOUCHSTONE_KEYS__KEK_FILE": str(key)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {key} holds a placeholder")
    assert not (tmp_path / "var" / "postgres").exists()


def test_sequencer_and_signer_live_and_die_with_the_service(
    servers: EmbeddedServers, new_postgres_url: Callable[[], str], tmp_path: Path
) -> None:
    """Killed, they run again; switched off, they do not; nothing outlives a supervisor that is
    killed."""
    settings = settings_on(servers, tmp_path, patient_ms=10_000)
    environment = {
        "TOUCHSTONE_VALKEY__URL": str(settings.valkey.url),
        "TOUCHSTONE_POSTGRES__URL": new_postgres_url(),
        "TOUCHSTONE_KEYS__KEK_FILE": str(settings.kek_path),
        "TOUCHSTONE_KEYS__TAG_KEY_FILE": str(settings.tag_key_path),
    }
    port = free_port()
    command = touchstone("serve", "--port", str(port), "--var", str(settings.var))
    with served(command, port, "/livez", tmp_path / "log", environment) as running:
        first = _keepers(running.process)
        assert set(first) == {"service.sequencer", "service.signer"}
        for process in first.values():
            process.send_signal(signal.SIGKILL)
        again = _until(lambda: _keepers(running.process), set(first))
        assert all(again[name].pid != first[name].pid for name in first)
        children = running.process.children(recursive=True)
        running.process.kill()
        psutil.wait_procs(children, timeout=10)
        assert [child for child in children if child.is_running()] == []
    off = {**environment, "TOUCHSTONE_LEDGER__SIGN": "false"}
    with served(command, port, "/livez", tmp_path / "log", off) as running:
        assert set(_until(lambda: _keepers(running.process), {"service.sequencer"})) == {
            "service.sequencer"
        }


def _keepers(service: psutil.Process) -> dict[str, psutil.Process]:
    found = {}
    for child in service.children():
        try:
            words = child.cmdline()
        except psutil.NoSuchProcess:
            continue
        if words[1:2] == ["-m"] and child.status() != psutil.STATUS_ZOMBIE:
            found[words[2]] = child
    return found


def _until(
    look: Callable[[], dict[str, psutil.Process]], names: set[str]
) -> dict[str, psutil.Process]:
    deadline = time.monotonic() + 20
    while (found := look()).keys() != names and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
