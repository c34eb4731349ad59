"""Several sequencers, one that dies, hangs or is frozen: the tree never forks and goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.ledger.drain import AWAY
from service.ledger.writer import WriterSettings
from service.sequencer.rounds import ROUND_ROWS
from service.sequencer.sequencer import Sequencer
from service.sequencer.session import HUNG_SECONDS
from tests.integration.ledger_cases import Postgres
from tests.integration.sequencer_cases import (
    LOG,
    add_rows,
    end_session_of,
    is_in_a_round,
    leader_of,
    leads,
    nobody_leads,
    queue_is_empty,
    sequencers,
    until,
    writers,
)
from tests.trees import whole_tree

pytest_plugins = ["tests.integration.ledger_fixtures"]
pytestmark = pytest.mark.asyncio

# A dead leader's lock is free at once; the other tries once a second.
HAND_OVER_SECONDS = 8.0
# About a second's work.
BACKLOG = 20_000


async def test_a_leader_that_dies(ledger_dsn: str, connection: Any, tmp_path: Path) -> None:
    """The one that stood by leads on, and what the dead one left is placed."""
    with sequencers(ledger_dsn, tmp_path / "log", 2) as running:
        await add_rows(connection, 500)
        await until(lambda: queue_is_empty(connection))
        first = await leader_of(connection, running)
        running[first].kill()
        await add_rows(connection, 500, first=501)
        await until(lambda: queue_is_empty(connection), HAND_OVER_SECONDS)
        assert await leader_of(connection, running) != first
    assert (await whole_tree(connection)).size == 1_000


async def test_a_leader_that_is_frozen(ledger_dsn: str, connection: Any, tmp_path: Path) -> None:
    """Frozen in the middle of a round it is replaced; thawed, it stands by and the tree is one."""
    with sequencers(ledger_dsn, tmp_path / "log", 2) as running:
        first = await leader_of(connection, running)
        await add_rows(connection, BACKLOG)
        await until(lambda: is_in_a_round(connection, running[first].pid))
        running[first].send_signal(signal.SIGSTOP)
        await add_rows(connection, 500, first=BACKLOG + 1)
        took = await until(lambda: queue_is_empty(connection), HUNG_SECONDS + 2 * HAND_OVER_SECONDS)
        assert took > HUNG_SECONDS / 2
        assert await leader_of(connection, running) != first
        running[first].send_signal(signal.SIGCONT)
        await add_rows(connection, 500, first=BACKLOG + 501)
        await until(lambda: queue_is_empty(connection))
        await asyncio.sleep(0.5)
        assert await leader_of(connection, running) != first
        assert running[first].poll() is None
    assert (await whole_tree(connection)).size == BACKLOG + 1_000


async def test_two_sequencers_and_writers_under_load(
    writer_settings: WriterSettings, ledger_dsn: str, connection: Any, tmp_path: Path
) -> None:
    """Three writers append while leaders are killed and frozen: no fork, no gap, no repeat."""
    with (
        sequencers(ledger_dsn, tmp_path / "log", 2) as running,
        writers(writer_settings, 3),
    ):
        await until(lambda: leads(connection))
        for turn in range(4):
            await asyncio.sleep(0.7)
            first = await leader_of(connection, running)
            if turn % 2:
                running[first].send_signal(signal.SIGSTOP)
                os.kill(running[1 - first].pid, signal.SIGCONT)
            else:
                running[first].send_signal(signal.SIGSTOP)
                running[first].send_signal(signal.SIGCONT)
                await end_session_of(connection, running[first].pid)
        for process in running:
            process.send_signal(signal.SIGCONT)
    with sequencers(ledger_dsn, tmp_path / "log"):
        await until(lambda: queue_is_empty(connection), 30)
    tree = await whole_tree(connection)
    assert tree.size == await connection.fetchval("SELECT count(*) FROM ledger_entry")
    assert tree.size > 500


async def test_postgres_that_stops(
    ledger_postgres: Postgres, ledger_dsn: str, connection: Any, tmp_path: Path
) -> None:
    """A sequencer outlives a crash of PostgreSQL, and goes on where it was."""
    import asyncpg

    with sequencers(ledger_dsn, tmp_path / "log") as (only,):
        await add_rows(connection, 300)
        await until(lambda: queue_is_empty(connection))
        ledger_postgres.stop()
        await asyncio.sleep(0.2)
        ledger_postgres.start()
        again = await asyncpg.connect(ledger_dsn)
        await add_rows(again, 300, first=301)
        await until(lambda: queue_is_empty(again))
        assert (await whole_tree(again)).size == 600
        assert only.poll() is None
        await again.close()


async def test_a_server_that_hangs_is_left(ledger_dsn: str, connection: Any) -> None:
    """A leader whose statement is never answered gives its connection up, and another may lead."""
    hung = await Sequencer.start(ledger_dsn, LOG, round_seconds=1.0)
    await add_rows(connection, 10)
    backend = hung._connection.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    try:
        async with asyncio.timeout(20):
            with pytest.raises(AWAY):
                await hung.integrate()
            await hung.close()
    finally:
        os.kill(backend, signal.SIGCONT)
    await until(lambda: nobody_leads(connection))
    again = await Sequencer.start(ledger_dsn, LOG)
    assert await again.integrate() == 10
    await again.close()


async def test_a_leader_rests_after_a_last_round_that_was_full(
    ledger_dsn: str, connection: Any
) -> None:
    """With nothing left behind a full round it looks twice a second, as after any other."""
    leader = await Sequencer.start(ledger_dsn, LOG)
    await add_rows(connection, ROUND_ROWS)
    assert await leader.integrate() == ROUND_ROWS
    queries: list[str] = []
    leader._connection.add_query_logger(lambda record: queries.append(record.query))
    running = asyncio.create_task(leader.run())
    await asyncio.sleep(1.2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await leader.close()
    assert 1 <= len(queries) <= 4


async def test_an_idle_leader_costs_next_to_nothing(
    ledger_dsn: str, connection: Any, tmp_path: Path
) -> None:
    """One leads and one stands by, nobody is replaced, and both take less than 3 % of a core."""
    with sequencers(ledger_dsn, tmp_path / "log", 2) as running:
        await until(lambda: leads(connection))
        await asyncio.sleep(1)
        processes = [psutil.Process(process.pid) for process in running]
        began, before = time.monotonic(), sum(cpu_seconds(process) for process in processes)
        term = await connection.fetchval("SELECT term FROM ledger_tree")
        await asyncio.sleep(2)
        used = sum(cpu_seconds(process) for process in processes) - before
        assert used / (time.monotonic() - began) < 0.03
        assert await connection.fetchval("SELECT term FROM ledger_tree") == term
        for process in running:
            process.terminate()
            assert process.wait(5) == 0


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)
