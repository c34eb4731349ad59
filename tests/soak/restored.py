"""Is every restored backup of the database noticed? At random points, with and without new entries.

One log grows in random steps; copies of its database are taken at random points on the way. Each is
then put beside the signer's directory as a restore would leave it, half of them with entries
appended on top, a third so many that the size is the signed one again. Invariant: what counts as a
copy to be noticed lacks at least one entry that was signed.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg

from service.embedded import EmbeddedServers
from service.guards import writer_check
from service.ledger.keys import FileKek, Keyring
from service.ledger.writer import LedgerWriter, WriterSettings
from service.migrate import migrate
from service.settings import Settings
from service.signer.errors import SignerRefuses
from service.signer.signer import Signer
from tests.integration.ledger_cases import KEK, append_many
from tests.keeping import checkpointed, sequenced

LOG = "test"


class Copy(NamedTuple):
    """A copy of the database: the size of its tree, and what waits to be placed."""

    name: str
    placed: int
    queued: int


class Verdict(NamedTuple):
    """What was said of one copy: by a writer that starts, and by the signer; None: nothing."""

    copy: Copy
    appended: int
    at_start: str | None
    at_signing: str | None
    published: int


class Restores:
    """A log, its signer and copies of its database, on one server."""

    def __init__(self, server: str, base: Path, rng: random.Random) -> None:
        self._server = server
        self._base = base
        self._rng = rng
        self.signer_dir = base / "signer"
        self.copies: list[Copy] = []
        self.signed = 0

    def dsn(self, name: str) -> str:
        """Return the URL of a database of the server."""
        return self._server.replace("/postgres?", f"/{name}?")

    async def grow(self, copies: int) -> None:
        """Let the log grow, and copy its database so often on the way."""
        await self._execute("CREATE DATABASE origin")
        dsn = self.dsn("origin")
        await migrate(dsn)
        for number in range(copies):
            await self._append(dsn, self._rng.randint(1, 20))
            if self._rng.random() < 0.5:
                await sequenced(dsn, LOG)
            if self._rng.random() < 0.5:
                await checkpointed(dsn, self.signer_dir, LOG)
            self.copies.append(await self._copied(f"copy_{number}"))
        await self._append(dsn, self._rng.randint(1, 20))
        await checkpointed(dsn, self.signer_dir, LOG)
        self.signed = await self._value(dsn, "SELECT size FROM ledger_tree")
        self.copies.append(await self._copied("whole"))

    async def verdict(self, copy: Copy, kind: int) -> Verdict:
        """Restore a copy and ask. `kind` 0: as it is, 1: with entries on top, 2: up to the size.

        The signer's directory is the one of the whole log; the copy of it that is used is thrown
        away.
        """
        dsn = self.dsn(copy.name)
        missing = self.signed - copy.placed - copy.queued
        appended = (0, self._rng.randint(1, 60), max(missing, 1))[kind]
        if appended:
            await self._append(dsn, appended)
            await sequenced(dsn, LOG)
        directory = self._base / f"signer-{copy.name}"
        shutil.copytree(self.signer_dir, directory)
        settings = Settings(var=self._base, ledger={"log_name": LOG, "signer_dir": directory})
        at_start = await self._refused_start(settings, dsn)
        before = await self._value(dsn, "SELECT count(*) FROM ledger_checkpoint")
        at_signing = None
        try:
            await sequenced(dsn, LOG)
            async with await Signer.open(directory, dsn, LOG) as signer:
                await signer.sign()
        except SignerRefuses as error:
            at_signing = error.code
        after = await self._value(dsn, "SELECT count(*) FROM ledger_checkpoint")
        await self._execute(f"DROP DATABASE {copy.name} WITH (FORCE)")
        return Verdict(copy, appended, at_start, at_signing, after - before)

    async def _refused_start(self, settings: Settings, dsn: str) -> str | None:
        writing = WriterSettings(dsn, LOG, self._base / "spool", check=writer_check(settings))
        try:
            writer = await LedgerWriter.start(writing, Keyring(FileKek(KEK)))
        except SignerRefuses as error:
            return error.code
        await writer.close()
        return None

    async def _append(self, dsn: str, count: int) -> None:
        writing = WriterSettings(dsn, LOG, self._base / "spool")
        writer = await LedgerWriter.start(writing, Keyring(FileKek(KEK)))
        await append_many(writer, count)
        await writer.close()

    async def _copied(self, name: str) -> Copy:
        await self._execute(f"CREATE DATABASE {name} TEMPLATE origin STRATEGY FILE_COPY")
        dsn = self.dsn("origin")
        placed = await self._value(dsn, "SELECT coalesce((SELECT size FROM ledger_tree), 0)")
        return Copy(name, placed, await self._value(dsn, "SELECT count(*) FROM ledger_queue"))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server)
        await connection.execute(statement)
        await connection.close()

    async def _value(self, dsn: str, query: str) -> int:
        connection = await asyncpg.connect(dsn)
        try:
            return int(await connection.fetchval(query))
        finally:
            await connection.close()


async def restored(
    server: str, base: Path, copies: int, seed: int
) -> tuple[list[Verdict], Verdict]:
    """Return a verdict on each restored copy, and one on a copy that lacks nothing."""
    restores = Restores(server, base, random.Random(seed))
    await restores.grow(copies)
    *old, whole = restores.copies
    verdicts = [await restores.verdict(copy, number % 3) for number, copy in enumerate(old)]
    return verdicts, await restores.verdict(whole, 0)


def noticed(verdict: Verdict) -> bool:
    """Whether nobody would write to this copy or sign it."""
    return verdict.at_start is not None and verdict.at_signing is not None and not verdict.published


def main(arguments: Sequence[str]) -> int:
    """Fifty copies (`--copies N --seed N`); prints how many were noticed, and by what."""
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--copies", type=int, default=50)
    parser.add_argument("--seed", type=int, default=8)
    asked = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers.start(Path(folder) / "servers", valkey=False) as servers,
    ):
        assert servers.postgres_url is not None
        verdicts, whole = asyncio.run(
            restored(servers.postgres_url, Path(folder), asked.copies, asked.seed)
        )
    seen = [verdict for verdict in verdicts if noticed(verdict)]
    codes = Counter(verdict.at_start for verdict in verdicts)
    print(
        f"P8: {len(seen)} of {len(verdicts)} restored backups noticed at start, none signed "
        f"({', '.join(f'{count} {code}' for code, count in codes.items())}; entries were appended "
        f"on top of {sum(verdict.appended > 0 for verdict in verdicts)})"
    )
    print(f"a copy that lacks nothing: {whole.at_start or 'taken'}")
    for verdict in verdicts:
        if not noticed(verdict):
            print(f"  not noticed: {verdict}")
    return int(len(seen) < len(verdicts) or whole.at_start is not None)
