"""`kill -9` of a process that appends: what it was told is there, once, in gapless numbers."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from service.ledger.keys import FileKek, Keyring
from service.ledger.verify import verify_log
from service.ledger.writer import LedgerWriter, WriterSettings
from tests.integration.ledger_cases import KEK, Postgres, gapless_sequences

pytest_plugins = ["tests.integration.ledger_fixtures"]
ROOT = Path(__file__).parents[2]


class Child:
    """A process that appends under load and says what was acknowledged."""

    def __init__(self, settings: WriterSettings, prefix: str) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.integration.ledger_child",
                settings.dsn,
                str(settings.spool_dir),
                prefix,
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._said = b""

    def hear(self, seconds: float) -> None:
        """Listen for a while, so that the child is never held up by a full pipe."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._out], [], [], left)[0]:
                self._said += os.read(self._out, 1 << 16)

    def hear_start(self) -> None:
        """Listen until the child appends."""
        until = time.monotonic() + 20
        while self._said.count(b"\n") < 2 and time.monotonic() < until:
            self.hear(0.02)
        assert self._said.startswith(b"started\n")

    def kill(self) -> set[str]:
        """Kill it and return the events that it was told are recorded."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        while more := os.read(self._out, 1 << 16):
            self._said += more
        assert self._process.stdout is not None
        self._process.stdout.close()
        lines = self._said.decode().splitlines()
        return {line.split()[1] for line in lines if " " in line}


@contextmanager
def child(settings: WriterSettings, prefix: str) -> Iterator[Child]:
    started = Child(settings, prefix)
    try:
        started.hear_start()
        yield started
    finally:
        if started._process.poll() is None:
            started.kill()


async def recorded(settings: WriterSettings) -> set[str]:
    """Return all events of the log, having seen that it is whole."""
    connection = await asyncpg.connect(settings.dsn)
    rows = await connection.fetch("SELECT event_key FROM ledger_entry")
    await gapless_sequences(connection)
    await connection.close()
    report = await verify_log(settings.dsn, wrapper=FileKek(KEK), spool_dir=settings.spool_dir)
    assert report.exit_code == 0, report.render()
    assert report.superseded == 0
    return {row["event_key"].decode() for row in rows}


@pytest.mark.asyncio
async def test_killed_while_live(writer_settings: WriterSettings) -> None:
    """Killed three times at random moments: every acknowledged entry is in the table."""
    told: set[str] = set()
    for number in range(3):
        with child(writer_settings, f"run{number}") as running:
            running.hear(random.uniform(0.05, 0.3))
            told |= running.kill()
    assert len(told) > 50
    # Each start took away what the one before left; the last one's file is empty but there.
    writer = await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK)))
    await writer.close()
    assert list(writer_settings.spool_dir.iterdir()) == []
    assert told <= await recorded(writer_settings)


@pytest.mark.asyncio
async def test_killed_while_spooling(
    writer_settings: WriterSettings, ledger_postgres: Postgres
) -> None:
    """Killed in an outage: the next writer drains what was spooled, before it takes entries."""
    try:
        with child(writer_settings, "run") as running:
            running.hear(0.1)
            ledger_postgres.stop()
            running.hear(0.3)
            told = running.kill()
    finally:
        ledger_postgres.start()
    report = await verify_log(writer_settings.dsn, spool_dir=writer_settings.spool_dir)
    assert report.exit_code == 4
    assert "spool_waits" in report.found_codes
    writer = await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK)))
    assert writer.status().drained_entries > 20
    await writer.close()
    assert list(writer_settings.spool_dir.iterdir()) == []
    assert told <= await recorded(writer_settings)


@pytest.mark.asyncio
async def test_killed_while_draining(
    writer_settings: WriterSettings, ledger_postgres: Postgres
) -> None:
    """Killed again and again in mid-drain: each entry arrives, once."""
    told: set[str] = set()
    halves = 0
    for number in range(4):
        try:
            with child(writer_settings, f"run{number}") as running:
                ledger_postgres.stop()
                running.hear(0.4)
                ledger_postgres.start()
                running.hear(random.uniform(0.02, 0.15))
                told |= running.kill()
        finally:
            ledger_postgres.start()
        report = await verify_log(writer_settings.dsn, spool_dir=writer_settings.spool_dir)
        halves += "spool_waits" in report.found_codes
    assert halves > 0  # at least once something was left in the spool
    writer = await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK)))
    await writer.close()
    assert told <= await recorded(writer_settings)
    assert list(writer_settings.spool_dir.iterdir()) == []
