"""Writers that follow rotations, as processes of the service do, and a load on them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from service.actions import Actions
from service.changes import Changes
from service.keys import HeldKeks, open_wrapper
from service.keys.following import CHANNEL, KeysFollower
from service.keys.rotation import Rotation
from service.keys.secret_file import write_secret
from service.ledger.keys import FileKek, Keyring
from service.ledger.reader import LedgerReader
from service.ledger.writer import LedgerWriter, WriterSettings
from service.settings import Settings
from tests.integration.ledger_cases import draft

WHO = {"actor": "machine"}


@dataclass
class Worker:
    """What a worker of the service has, as far as keys go."""

    settings: Settings
    dsn: str
    held: HeldKeks
    ring: Keyring
    writer: LedgerWriter
    persons: str
    appended: list[bytes] = field(default_factory=list)
    subject_kek_ids: list[bytes] = field(default_factory=list)

    async def append(self, number: int, person: str | None = None) -> bytes:
        """Append one entry about one person."""
        entry = draft(person=person or f"user:{self.persons}-{number % 50}-{number // 200}")
        await self.writer.append(entry, timeout_s=2)
        self.appended.append(entry.entry_id)
        return entry.entry_id

    async def load(self, stop: asyncio.Event) -> None:
        """Append until told to stop; whatever is raised is raised here."""
        number = 0
        while not stop.is_set():
            await asyncio.gather(*(self.append(number + each) for each in range(4)))
            number += 4
            await asyncio.sleep(0.002)


def machine(base: Path, dsn: str, **more: Any) -> Settings:
    """Return the settings of one machine, with a fresh key in a file."""
    path = base / "keys" / "kek.key"
    settings = Settings(
        var=base, postgres={"url": dsn}, keys={"kek_file": path, **more.pop("keys", {})}, **more
    )
    write_secret(path, os.urandom(32))
    return settings


def copy_of(settings: Settings, base: Path) -> Settings:
    """Return the settings of another machine that has the key files of this one so far."""
    shutil.copytree(settings.kek_path.parent, base / "keys")
    keys = settings.keys.model_copy(update={"kek_file": base / "keys" / "kek.key"})
    return settings.model_copy(update={"var": base, "keys": keys})


@contextlib.asynccontextmanager
async def worker(settings: Settings, persons: str = "a") -> AsyncIterator[Worker]:
    """Run one."""
    dsn = str(settings.postgres.url)
    held = open_wrapper(settings)
    ring = Keyring(held)
    writer = await LedgerWriter.start(WriterSettings(dsn, "test", settings.var / "spool"), ring)
    changes = Changes(dsn)
    changes.follow(CHANNEL, KeysFollower(writer, ring, held).refresh)
    try:
        async with changes:
            yield Worker(settings, dsn, held, ring, writer, persons)
    finally:
        await writer.close()


@contextlib.asynccontextmanager
async def rotation(
    settings: Settings, tell: Callable[[str], None] = lambda _: None, patience_seconds: float = 20
) -> AsyncIterator[Rotation]:
    """Run what `touchstone ledger rotate-keys` runs."""
    async with worker(settings, "rotating") as one:
        actions = Actions(one.dsn, one.writer)
        async with Rotation(
            actions, one.dsn, one.ring, one.held, WHO, tell, patience_seconds
        ) as rotating:
            yield rotating


@contextlib.asynccontextmanager
async def under_load(*workers: Worker) -> AsyncIterator[None]:
    """Load the workers while the block runs, and half a second before and after it."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for one in workers:
            group.create_task(one.load(stop))
        await asyncio.sleep(0.5)
        try:
            yield
            await asyncio.sleep(0.5)
        finally:
            stop.set()


async def wrapped_by(dsn: str) -> dict[str, int]:
    """Return how many stored keys each KEK wraps, by its id."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT encode(substring(wrapped FROM 2 FOR 8), 'hex') AS kek, count(*) AS keys FROM "
            "(SELECT wrapped FROM ledger_key UNION ALL SELECT wrapped FROM subject_key "
            "UNION ALL SELECT wrapped FROM late_subject_key) AS stored "
            "GROUP BY 1"
        )
    finally:
        await connection.close()
    return {row["kek"]: row["keys"] for row in rows}


async def all_open(settings: Settings, entry_ids: list[bytes]) -> None:
    """Read every entry as a process does that starts after all of it."""
    async with asyncpg.create_pool(settings.postgres.url, min_size=1, max_size=2) as pool:
        reader = LedgerReader(pool, Keyring(open_wrapper(settings)), "test", timeout_s=10)
        for entry_id in entry_ids:
            found = await reader.find_by_entry_id(entry_id, with_subject=True)
            assert found is not None
            assert found.core is not None
            assert found.subject_state == "open", found.subject_state


def kek_in(path: Path) -> FileKek:
    """Return the KEK that lies in clear in a file."""
    return FileKek(path.read_bytes())
