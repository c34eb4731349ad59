"""What a full log costs: `python -m tests.bench.ledger_bench`.

Fills one database with a million entries and leaves another empty, then appends to them in turn,
with a sequencer each: the latency of `LedgerWriter.append` at one client and the CPU of everything
that takes part (writer, PostgreSQL, sequencer) at 16, and their ratios. On the way: how fast the
sequencer places a million entries that wait, and what proofs from the full tree take. Nothing here
asserts a time.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import asyncpg
import psutil

from service.ledger.entry import EntryDraft
from service.ledger.frames import month_key_rows, subject_key_rows
from service.ledger.keys import FileKek, Keyring
from service.ledger.row import numbered, sealed
from service.ledger.table import insert
from service.ledger.tree.stored import StoredTree
from service.ledger.tree.verifying import verify_consistency, verify_inclusion, verify_range
from service.ledger.writer import LedgerWriter, WriterSettings
from service.migrate import migrate
from service.sequencer.sequencer import Sequencer
from tests.integration.ledger_cases import KEK, Postgres
from tests.integration.sequencer_cases import LOG, queue_is_empty, sequencers, until

PERSONS = 20_000
FILL_ROWS = 1_000
CLIENTS = 16
VERSIONS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("rules", "bundle", "code")}
Row = tuple[str, str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print rows of the table, and return 0."""
    parser = argparse.ArgumentParser(prog="ledger_bench", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of the full log")
    parser.add_argument("--turns", type=int, default=8, help="turns on each database")
    parser.add_argument("--appends", type=int, default=3_000, help="entries of a turn")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as base:
        postgres = Postgres(Path(base) / "postgres")
        try:
            bench = Bench(postgres, Path(base), options.entries)
            rows = asyncio.run(bench.run(options.turns, options.appends))
        finally:
            postgres.close()
    for row in rows:
        say(f"| {' | '.join(row)} |")
    return 0


class Side:
    """One of the two databases, with its writer and its sequencer process."""

    def __init__(self, dsn: str, writer: LedgerWriter, sequencer: subprocess.Popen[bytes]) -> None:
        self.dsn = dsn
        self.writer = writer
        self.sequencer = psutil.Process(sequencer.pid)
        self.latencies_ms: list[float] = []
        self.cpu_us: dict[str, list[float]] = {"writer": [], "PostgreSQL": [], "sequencer": []}

    @property
    def total_us(self) -> float:
        """CPU of an entry, all processes together, median of the turns."""
        return median(map(sum, zip(*self.cpu_us.values(), strict=True)))


class Bench:
    """One run."""

    def __init__(self, postgres: Postgres, base: Path, entries: int) -> None:
        self._postgres = postgres
        self._base = base
        self._entries = entries
        self._ring = Keyring(FileKek(KEK))
        self._chance = random.Random(1)

    async def run(self, turns: int, appends: int) -> list[Row]:
        """Return rows of (what, measured, target)."""
        empty_dsn, full_dsn = [await self._database(name) for name in ("empty_log", "full_log")]
        rows = [await self._fill(full_dsn)]
        rows.append(await self._place(full_dsn))
        rows += await self._prove(full_dsn)
        rows += await self._in_turn(empty_dsn, full_dsn, turns, appends)
        return rows

    async def _database(self, name: str) -> str:
        connection = await asyncpg.connect(self._postgres.dsn)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        dsn = self._postgres.dsn.replace("/postgres?", f"/{name}?")
        await migrate(dsn)
        return dsn

    async def _fill(self, dsn: str) -> Row:
        say(f"filling with {self._entries:,} entries")
        connection = await asyncpg.connect(dsn)
        writer, began = os.urandom(16), time.monotonic()
        for first in range(1, self._entries + 1, FILL_ROWS):
            entries = [sealed(self._draft(), LOG, self._ring) for _ in range(FILL_ROWS)]
            await insert(
                connection,
                [numbered(entry, writer, seq) for seq, entry in enumerate(entries, first)],
                subject_key_rows(entry.subject_key for entry in entries),
                month_key_rows(key for entry in entries for key in entry.month_keys),
                [writer] if first == 1 else (),
            )
            for entry in entries:
                for key in (*entry.month_keys, entry.subject_key):
                    if key is not None:
                        key.stored = True
        took = time.monotonic() - began
        await connection.execute("VACUUM ANALYZE", timeout=600)
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        await connection.close()
        return (
            "a full log",
            f"{self._entries:,} entries, {size / 1e9:.1f} GB, written in {took:.0f} s",
            "",
        )

    async def _place(self, dsn: str) -> Row:
        say("placing them")
        leader = await Sequencer.start(dsn, LOG)
        server, began = self._server_cpu(), time.monotonic()
        own, placed, longest = time.process_time(), 0, 0.0
        while True:
            round_began = time.monotonic()
            if not (done := await leader.integrate()):
                break
            placed += done
            longest = max(longest, time.monotonic() - round_began)
        took, own = time.monotonic() - began, time.process_time() - own
        server = self._server_cpu() - server
        await leader.close()
        return (
            "placing entries that wait, one sequencer",
            (
                f"{placed / took:,.0f}/s; CPU of an entry {own / placed * 1e6:.0f} + "
                f"{server / placed * 1e6:.0f} µs (PostgreSQL); longest round {longest:.2f} s"
            ),
            "≥ 5,000/s",
        )

    async def _prove(self, dsn: str) -> list[Row]:
        connection = await asyncpg.connect(dsn)
        await connection.execute("VACUUM ANALYZE", timeout=600)
        stored = StoredTree(connection)
        size = await stored.size()
        root = await stored.root(size)

        async def inclusion() -> None:
            idx = self._chance.randrange(size)
            path = await stored.inclusion(idx, size)
            leaf = await connection.fetchval("SELECT hash FROM ledger_leaf WHERE idx = $1", idx)
            verify_inclusion(leaf, idx, size, path, root)

        async def consistency() -> None:
            old = self._chance.randrange(1, size)
            path = await stored.consistency(old, size)
            verify_consistency(old, await stored.root(old), size, root, path)

        async def of_range() -> None:
            first = self._chance.randrange(size - 100)
            sides = await stored.range_hashes(first, first + 100, size)
            rows = await connection.fetch(
                "SELECT hash FROM ledger_leaf WHERE idx >= $1 AND idx < $2 ORDER BY idx",
                first,
                first + 100,
            )
            verify_range(first, [row[0] for row in rows], size, *sides, root)

        times = [
            f"{name} {await self._median_ms(ask):.1f} ms"
            for name, ask in (
                ("an entry", inclusion),
                ("an older root, computed and shown to be contained", consistency),
                ("a range of 100", of_range),
            )
        ]
        await connection.close()
        return [(f"a proof from {size:,} leaves, made and checked", ", ".join(times), "")]

    async def _median_ms(self, ask: Callable[[], Awaitable[None]]) -> float:
        took = []
        for _ in range(200):
            began = time.perf_counter()
            await ask()
            took.append((time.perf_counter() - began) * 1e3)
        return median(took)

    async def _in_turn(self, empty_dsn: str, full_dsn: str, turns: int, appends: int) -> list[Row]:
        say("appending in turn")
        sides: list[Side] = []
        with (
            sequencers(empty_dsn, self._base / "empty.log") as (of_empty,),
            sequencers(full_dsn, self._base / "full.log") as (of_full,),
        ):
            for dsn, process in ((empty_dsn, of_empty), (full_dsn, of_full)):
                spool = self._base / f"spool{len(sides)}"
                writer = await LedgerWriter.start(WriterSettings(dsn, LOG, spool), self._ring)
                sides.append(Side(dsn, writer, process))
            await self._one_by_one(sides, turns * appends // 10)
            for turn in range(turns + 1):
                for side in sides if turn % 2 else reversed(sides):
                    await self._turn(side, appends, is_warm=turn > 0)
            for side in sides:
                await side.writer.close()
        empty, full = sides
        p50 = [median(side.latencies_ms) for side in sides]
        parts = [
            f"{name} {median(empty.cpu_us[name]):.0f} → {median(full.cpu_us[name]):.0f}"
            for name in empty.cpu_us
        ]
        return [
            (
                f"p50 of an append, one client: {self._entries:,} entries ÷ an empty log",
                f"{p50[1]:.2f} ÷ {p50[0]:.2f} ms = **{p50[1] / p50[0]:.2f}**",
                "≤ 1.2",
            ),
            (
                "CPU of an entry at 16 clients, the same",
                (
                    f"{full.total_us:.0f} ÷ {empty.total_us:.0f} µs = "
                    f"**{full.total_us / empty.total_us:.2f}** ({', '.join(parts)})"
                ),
                "≤ 1.2",
            ),
        ]

    async def _one_by_one(self, sides: list[Side], appends: int) -> None:
        """Append to one side and the other alternately, so that both meet the same weather."""
        for number in range(appends + 200):
            for side in sides if number % 2 else reversed(sides):
                draft = self._draft()
                began = time.perf_counter()
                await side.writer.append(draft, timeout_s=10)
                if number >= 200:
                    side.latencies_ms.append((time.perf_counter() - began) * 1e3)

    async def _turn(self, side: Side, appends: int, *, is_warm: bool) -> None:
        drafts = [self._draft() for _ in range(appends)]
        connection = await asyncpg.connect(side.dsn)
        await until(lambda: queue_is_empty(connection))
        before = self._cpu(side)
        waiting = iter(drafts)

        async def client() -> None:
            for draft in waiting:
                await side.writer.append(draft, timeout_s=10)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        own = self._cpu(side)["writer"]
        await asyncio.sleep(0.6)
        await until(lambda: queue_is_empty(connection))
        after = {**self._cpu(side), "writer": own}
        await connection.close()
        if is_warm:
            for name, seconds in after.items():
                side.cpu_us[name].append((seconds - before[name]) / appends * 1e6)

    def _cpu(self, side: Side) -> dict[str, float]:
        return {
            "writer": time.process_time(),
            "PostgreSQL": self._server_cpu(),
            "sequencer": _seconds(side.sequencer),
        }

    def _server_cpu(self) -> float:
        """CPU of the server's processes, those that ended included."""
        postmaster = psutil.Process(self._postgres.pid)
        ended = postmaster.cpu_times()
        return (
            _seconds(postmaster)
            + ended.children_user
            + ended.children_system
            + sum(_seconds(child) for child in postmaster.children())
        )

    def _draft(self) -> EntryDraft:
        key = os.urandom(32)
        return EntryDraft(
            entry_id=os.urandom(16),
            type="decision",
            event_key=key,
            body_hash=key,
            observed_at=datetime.now(UTC),
            versions=VERSIONS,
            core=b'{"core":"%b"}' % (b"c" * 500),
            subject=b'{"subject":"%b"}' % (b"s" * 900),
            subject_tag=f"user:{self._chance.randrange(PERSONS)}",
        )


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
