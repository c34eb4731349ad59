"""What does a disk that fails, or a kill between two system calls, do to spool and signer?

strace injects EIO, ENOSPC or SIGKILL into one call of `open`, `write`, `fsync`, `rename`, … of a
process at work, each in turn. Afterwards the service starts as usual, and: every acknowledged entry
is in the log once, every published checkpoint still holds for the tree, `fsck` is clean.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg

from service.embedded import EmbeddedServers
from service.fsck import look_over
from service.ledger.keys import FileKek, Keyring
from service.ledger.note import parse_checkpoint, parse_note
from service.ledger.tree.stored import StoredTree
from service.ledger.writer import LedgerWriter, WriterSettings
from service.migrate import migrate
from service.settings import Settings
from service.signer.signer import Signer
from service.signer.state import SignerFiles
from tests.integration.ledger_cases import KEK
from tests.integration.ledger_fixtures import TABLES
from tests.keeping import sequenced

LOG = "test"
STRACE = shutil.which("strace")
# What writes a file, makes it durable, names, cuts or removes it.
CALLS = ("openat", "write", "pwrite64", "fsync", "rename", "ftruncate", "unlink")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
ATTACH_SECONDS = 20.0
_CALL = re.compile(rf"({'|'.join(CALLS)})\((.*)")


class Point(NamedTuple):
    """Call number `number` (from 1) of this kind in a thread of a scenario, and on which file."""

    scenario: str
    call: str
    number: int
    where: str


class Outcome(NamedTuple):
    """What a trial came to. `hit`: the fault was injected. `wrong`: what should not be."""

    point: Point
    fault: str
    hit: bool
    acknowledged: int
    published: int
    wrong: tuple[str, ...]


class Trials:
    """Trials on one database, one after the other."""

    def __init__(self, dsn: str, base: Path, helper: subprocess.Popen[str]) -> None:
        self._dsn = dsn
        self._base = base
        self._helper = helper
        self._count = 0

    async def points(self, scenario: str) -> list[Point]:
        """Return each call of the scenario once: strace injects into that of every thread."""
        calls = await self.calls(scenario)
        return list({(call.call, call.number): call for call in reversed(calls)}.values())[::-1]

    async def calls(self, scenario: str) -> list[Point]:
        """Return every call of the scenario on files of ours, from one run without a fault.

        strace counts the calls of each thread for itself.
        """
        base = await self._fresh(scenario)
        options = ["-y", "-s", "300", "-e", f"trace={','.join(CALLS)}"]
        _, lines = self._run(scenario, base, options)
        counts: Counter[tuple[str, str]] = Counter()
        found = []
        for line in lines:
            if (call := _CALL.search(line)) is None:
                continue
            thread, name = line.split()[0], call[1]
            counts[thread, name] += 1
            if str(base) in call[2]:
                place = call[2].partition(str(base))[2].partition('"')[0].partition(">")[0]
                found.append(Point(scenario, name, counts[thread, name], place))
        return found

    async def outcome(self, point: Point, fault: str) -> Outcome:
        """Inject one fault, then start as usual and look."""
        base = await self._fresh(point.scenario)
        options = [
            "-e", f"trace={point.call}", "-e", f"inject={point.call}:{fault}:when={point.number}",
        ]  # fmt: skip
        said, lines = self._run(point.scenario, base, options)
        hit = any("(INJECTED)" in line or "killed by SIGKILL" in line for line in lines)
        entries = [line.split()[1] for line in said if line.startswith("ack ")]
        notes = [line.split()[1:] for line in said if line.startswith("signed ")]
        wrong = [line for line in said if line.startswith("failed ")]
        wrong += await self._look(base, entries, [(int(size), root) for size, root in notes])
        shutil.rmtree(base)
        return Outcome(point, fault, hit, len(entries), len(notes), tuple(wrong))

    async def _fresh(self, scenario: str) -> Path:
        """Empty the database and return a directory of its own, with a spool to drain if asked."""
        connection = await asyncpg.connect(self._dsn)
        await connection.execute(f"TRUNCATE {TABLES}")
        await connection.close()
        self._count += 1
        base = self._base / str(self._count)
        base.mkdir()
        if scenario == "draining":
            self._run("spooling", base, None)
        return base

    def _run(
        self, scenario: str, base: Path, options: Sequence[str] | None
    ) -> tuple[list[str], list[str]]:
        """Run a scenario under strace; return what it said, and what strace wrote."""
        helper, output = self._helper, base / "strace"
        assert helper.stdin is not None
        assert helper.stdout is not None
        helper.stdin.write(f"{scenario} {self._dsn} {base}\n")
        helper.stdin.flush()
        pid = helper.stdout.readline().split()[1]
        strace = None
        if options is not None:
            assert STRACE is not None
            strace = subprocess.Popen(
                [STRACE, "-f", "-p", pid, "-o", str(output), *options],
                stderr=subprocess.PIPE,
                text=True,
            )
            assert strace.stderr is not None
            said = strace.stderr.readline()
            assert "attached" in said, said
        helper.stdin.write("go\n")
        helper.stdin.flush()
        said_lines = []
        while not (line := helper.stdout.readline()).startswith("ended"):
            said_lines.append(line.strip())
        if strace is not None:
            strace.communicate(timeout=ATTACH_SECONDS)
        return said_lines, output.read_text().splitlines() if output.exists() else []

    async def _unremembered(self, base: Path) -> list[str]:
        """Return the checkpoints that left before the signer's own memory of them was on disk."""
        state = SignerFiles(base / "signer").load()
        connection = await asyncpg.connect(self._dsn)
        rows = await connection.fetch("SELECT size FROM ledger_checkpoint")
        await connection.close()
        size = 0 if state is None else state.size
        return [f"not remembered: {row['size']}" for row in rows if row["size"] > size]

    async def _look(
        self, base: Path, acknowledged: list[str], published: list[tuple[int, str]]
    ) -> list[str]:
        """Start what a service starts, and return what is not as it should be."""
        wrong = await self._unremembered(base)
        writer = await LedgerWriter.start(
            WriterSettings(self._dsn, LOG, base / "spool"), Keyring(FileKek(KEK))
        )
        await sequenced(self._dsn, LOG)
        async with await Signer.open(base / "signer", self._dsn, LOG) as signer:
            await signer.sign()
        connection = await asyncpg.connect(self._dsn)
        rows = await connection.fetch("SELECT entry_id FROM ledger_entry")
        stored = [row["entry_id"].hex() for row in rows]
        wrong += [f"lost {entry}" for entry in set(acknowledged) - set(stored)]
        if len(stored) != len(set(stored)):
            wrong.append("an entry is there twice")
        notes = {
            (signed.size, signed.root.hex())
            for row in await connection.fetch("SELECT note FROM ledger_checkpoint")
            for signed in [parse_checkpoint(parse_note(row["note"]).text)]
        }
        tree = StoredTree(connection)
        for size, root in notes | set(published):
            if (await tree.root(size)).hex() != root:
                wrong.append(f"the checkpoint of {size} does not hold")
        wrong += [f"unpublished {size}" for size, root in published if (size, root) not in notes]
        await writer.close()
        settings = Settings(var=base, ledger={"signer_dir": base / "signer", "log_name": LOG})
        items = await look_over(connection, settings)
        wrong += [f"fsck: {item.text('en')}" for item in items if not item.is_fine]
        await connection.close()
        return wrong


@contextmanager
def trials(dsn: str, base: Path) -> Iterator[Trials]:
    """Give trials on a migrated database of their own."""
    helper = subprocess.Popen(
        [sys.executable, "-m", "tests.soak.fault_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Trials(dsn, base, helper)
    finally:
        assert helper.stdin is not None
        helper.stdin.close()
        helper.wait(timeout=30)
        assert helper.stdout is not None
        helper.stdout.close()


def why_not() -> str | None:
    """Return what keeps faults from being injected here."""
    if STRACE is None:
        return "strace is not installed"
    sleeper = subprocess.Popen(["sleep", "5"])
    try:
        subprocess.run(
            [STRACE, "-p", str(sleeper.pid), "-o", "/dev/null"],
            capture_output=True, timeout=1, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    finally:
        sleeper.kill()
        sleeper.wait()
    return "strace may not attach to processes here"


async def _all(dsn: str, base: Path) -> int:
    await migrate(dsn)
    bad = 0
    with trials(dsn, base) as running:
        for scenario in ("signing", "spooling", "draining"):
            points = await running.points(scenario)
            hits = acknowledged = published = 0
            for point in points:
                for fault in FAULTS:
                    outcome = await running.outcome(point, fault)
                    hits += outcome.hit
                    acknowledged += outcome.acknowledged
                    published += outcome.published
                    if outcome.wrong:
                        bad += 1
                        print(f"  {point} {fault}: {'; '.join(outcome.wrong)}")
            print(
                f"{scenario}: {len(points)} system calls x {len(FAULTS)} faults, {hits} injected; "
                f"{acknowledged} entries acknowledged, {published} checkpoints published"
            )
    print(f"faults with consequences: {bad}")
    return int(bad > 0)


def main(arguments: Sequence[str]) -> int:
    """Inject every fault at every call; a skipped proof is a failed one."""
    if (why := why_not()) is not None:
        print(f"faults cannot be injected: {why}")
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers.start(Path(folder) / "servers", valkey=False) as servers,
    ):
        assert servers.postgres_url is not None
        (Path(folder) / "trials").mkdir()
        return asyncio.run(_all(servers.postgres_url, Path(folder) / "trials"))
