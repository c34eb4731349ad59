"""Two sequencers and writers for minutes, while leaders are killed, frozen and cut off.

Invariant to see: whatever happens to a leader, the tree has no fork, no gap and no repeat, and each
writer's numbers ascend along it. The whole tree is computed again from the entries after every few
blows; once a minute PostgreSQL is stopped without a shutdown as well.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import asyncpg

from service.ledger.writer import WriterSettings
from service.migrate import migrate
from service.sequencer.session import HUNG_SECONDS
from tests.integration.ledger_cases import Postgres
from tests.integration.sequencer_cases import (
    end_session_of,
    leader_of,
    queue_is_empty,
    sequencers,
    start_sequencer,
    until,
    writers,
)
from tests.trees import whole_tree

WRITERS = 3
BLOWS_BETWEEN_LOOKS = 8


def main(arguments: Sequence[str]) -> int:
    """Run for `--seconds`; print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak sequencers")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="touchstone-soak-") as base:
        postgres = Postgres(Path(base) / "postgres")
        try:
            asyncio.run(Soak(postgres, Path(base), options.seed).run(options.seconds))
        finally:
            postgres.close()
    return 0


class Soak:
    """One run."""

    def __init__(self, postgres: Postgres, base: Path, seed: int) -> None:
        self._postgres = postgres
        self._base = base
        self._chance = random.Random(seed)
        self._blows: Counter[str] = Counter()
        self._looks = 0
        self._running: list[subprocess.Popen[bytes]] = []

    async def run(self, seconds: float) -> None:
        """Strike leaders until the time is up, then look a last time."""
        dsn = self._postgres.dsn
        await migrate(dsn)
        log, settings = self._base / "log", WriterSettings(dsn, "test", self._base / "spool")
        with log.open("ab") as out, sequencers(dsn, log, 2) as self._running:
            ends = time.monotonic() + seconds
            with writers(settings, WRITERS):
                while time.monotonic() < ends:
                    await self._strike(dsn, out)
                    if self._blows.total() % BLOWS_BETWEEN_LOOKS == 0:
                        await self._look(dsn)
            for process in self._running:
                process.send_signal(signal.SIGCONT)
            # Spools of the killed writers are drained by the next one.
            with writers(settings, 1, "last"):
                await asyncio.sleep(3)
            size = await self._look(dsn, is_last=True)
        terms = await self._value(dsn, "SELECT term FROM ledger_tree")
        for blow, count in sorted(self._blows.items()):
            say(f"{blow}: {count}")
        say(f"terms: {terms}")
        say(f"entries placed: {size:,}; forks, gaps, repeats in {self._looks} looks: 0")

    async def _strike(self, dsn: str, out: BinaryIO) -> None:
        await asyncio.sleep(self._chance.uniform(0.1, 2.5))
        if self._blows.total() % 40 == 39:
            self._blows["PostgreSQL stopped without a shutdown"] += 1
            self._postgres.stop()
            await asyncio.sleep(0.5)
            self._postgres.start()
            return
        connection = await asyncpg.connect(dsn)
        try:
            at = await leader_of(connection, self._running)
            leader = self._running[at]
            match self._chance.randrange(4):
                case 0:
                    self._blows["leader killed"] += 1
                    leader.kill()
                    leader.wait()
                    self._running[at] = start_sequencer(dsn, out)
                case 1:
                    self._blows["leader frozen until replaced"] += 1
                    leader.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(HUNG_SECONDS + self._chance.uniform(1, 3))
                    leader.send_signal(signal.SIGCONT)
                case 2:
                    self._blows["leader frozen for a moment"] += 1
                    leader.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(self._chance.uniform(0, 1))
                    leader.send_signal(signal.SIGCONT)
                case _:
                    self._blows["leader's session ended"] += 1
                    await end_session_of(connection, leader.pid)
        finally:
            await connection.close()

    async def _look(self, dsn: str, *, is_last: bool = False) -> int:
        connection = await asyncpg.connect(dsn)
        try:
            if is_last:
                await until(lambda: queue_is_empty(connection), 60)
            size = (await whole_tree(connection)).size
            entries = await connection.fetchval("SELECT count(*) FROM ledger_entry")
        finally:
            await connection.close()
        assert not is_last or size == entries, f"{size} of {entries} entries are placed"
        self._looks += 1
        return size

    async def _value(self, dsn: str, query: str) -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
