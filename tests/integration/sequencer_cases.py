"""Sequencers as processes of their own, and what tests do to them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from service.ledger.writer import WriterSettings
from service.sequencer.session import LOCK, NAME
from tests.integration.ledger_cases import OBSERVED

ROOT = Path(__file__).parents[2]
LOG = "test"
_LEADER = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
AND (classid::bigint << 32 | objid::bigint) = $1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


_MANY = """
WITH fresh AS (
    SELECT uuid_send(gen_random_uuid()) AS entry_id, number
    FROM generate_series($2::bigint, $2 + $3 - 1) number
), queued AS (
    INSERT INTO ledger_queue SELECT entry_id FROM fresh
)
INSERT INTO ledger_entry (entry_id, type, writer, seq, observed, header)
SELECT entry_id, 'decision', $1, number, $4, convert_to(repeat('h', 500) || number, 'UTF8')
FROM fresh
"""


class Process(Protocol):
    """What is asked of a process that was started."""

    pid: int


@contextmanager
def sequencers(dsn: str, log_file: Path, count: int = 1) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run so many `python -m service.sequencer`; what they say goes to the file."""
    with log_file.open("ab") as out:
        started = [start_sequencer(dsn, out) for _ in range(count)]
        try:
            yield started
        finally:
            for process in started:
                process.kill()
                process.wait()


def start_sequencer(dsn: str, out: Any) -> subprocess.Popen[bytes]:
    """Start one more."""
    environment = {
        **os.environ,
        "TOUCHSTONE_POSTGRES__URL": dsn,
        "TOUCHSTONE_LEDGER__LOG_NAME": LOG,
    }
    command = [sys.executable, "-m", "service.sequencer"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)


@contextmanager
def writers(
    settings: WriterSettings, count: int, name: str = "writer"
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run so many processes that append under load, and kill them."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.ledger_child", settings.dsn,
             str(settings.spool_dir), f"{name}{number}"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        for number in range(count)
    ]  # fmt: skip
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> float:
    """Wait until it is so, and return how long that took."""
    began = time.monotonic()
    while not await what():
        assert time.monotonic() - began < seconds, "it did not come true"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def leads(connection: Any) -> bool:
    """Whether any sequencer holds the lock."""
    return bool(await connection.fetch(_LEADER, LOCK))


async def add_rows(connection: Any, count: int, writer: bytes = b"w" * 16, first: int = 1) -> None:
    """Add so many entries by one statement: headers of 500 bytes and nothing sealed."""
    await connection.execute(_MANY, writer, first, count, OBSERVED)


async def nobody_leads(connection: Any) -> bool:
    """Whether the lock is free."""
    return not await leads(connection)


async def leader_of(connection: Any, processes: Sequence[Process]) -> int:
    """Return the place in `processes` of the one whose connection holds the lock."""
    await until(lambda: leads(connection))
    backend = await connection.fetchval(_LEADER, LOCK)
    owner = await connection.fetchval(
        "SELECT application_name FROM pg_stat_activity WHERE pid = $1", backend
    )
    return [process.pid for process in processes].index(int(owner.rpartition(" ")[2]))


async def queue_is_empty(connection: Any) -> bool:
    """Whether every entry was placed."""
    return not await connection.fetchval("SELECT EXISTS (SELECT FROM ledger_queue)")


async def is_in_a_round(connection: Any, pid: int) -> bool:
    """Whether the sequencer with this process id is in the middle of a transaction."""
    found = await connection.fetchval(
        "SELECT xact_start < clock_timestamp() - interval '50 ms' FROM pg_stat_activity "
        "WHERE application_name = $1",
        f"{NAME} {pid}",
    )
    return bool(found)


async def end_session_of(connection: Any, pid: int) -> None:
    """End the session of the sequencer with this process id, as a broken network would."""
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
        f"{NAME} {pid}",
    )
