"""A PostgreSQL that tests may stop, freeze and kill, and entries to append."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from service.embedded import EmbeddedServers
from service.ledger.entry import EntryDraft
from service.ledger.writer import LedgerWriter

KEK = hashlib.sha256(b"the key-encryption key of the ledger's tests").digest()
OBSERVED = datetime(2026, 11, 22, 8, 15, 30, tzinfo=UTC)
VERSIONS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("rules", "bundle")}


class Postgres:
    """A server in a directory of its own, reached through a socket."""

    def __init__(self, var: Path) -> None:
        # The server ends with the thread that started it: one thread for as long as this lives.
        self._thread = ThreadPoolExecutor(1)
        self._servers = self._thread.submit(EmbeddedServers.start, var, valkey=False).result()
        assert self._servers.postgres is not None
        assert self._servers.postgres_url is not None
        self._server = self._servers.postgres
        self._recipe = self._server._recipe
        self.dsn: str = self._servers.postgres_url
        self.data = self._servers.var / "postgres"

    def stop(self) -> None:
        """Stop without a shutdown checkpoint, as a crash does."""
        if (pid := self._server.pid) is not None:
            os.kill(pid, signal.SIGQUIT)
        while self._server.pid is not None:
            time.sleep(0.01)

    def start(self) -> None:
        """Start again, where it does not run."""
        self._thread.submit(self._server.start).result()

    def restart(self, **options: str) -> None:
        """Start anew: with these options over those of the service, or with the latter alone."""
        over = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self.stop()
        self._server._recipe = replace(self._recipe, argv=[*self._recipe.argv, *over])
        self.start()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id."""
        return self._server.pid

    def close(self) -> None:
        """Stop for good."""
        self._servers.stop()
        self._thread.shutdown()

    def freeze(self) -> None:
        """Stop every process of the server in its tracks: connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        postmaster = psutil.Process(self._server.pid)
        for process in [postmaster, *postmaster.children(recursive=True)]:
            process.send_signal(number)


def draft(
    event: str | None = None,
    *,
    core: bytes = b'{"outcome":"approve"}',
    subject: bytes | None = b'{"facts":{"user_logins_1h":1}}',
    person: str | None = "user:alice",
    staff: bytes | None = None,
) -> EntryDraft:
    """An entry about an event; every call is another entry."""
    key = None if event is None else event.encode()
    return EntryDraft(
        entry_id=os.urandom(16),
        type="decision",
        event_key=key,
        body_hash=None if key is None else hashlib.sha256(key).digest(),
        observed_at=OBSERVED,
        versions=VERSIONS,
        core=core,
        subject=subject,
        subject_tag=None if subject is None else person,
        staff=staff,
    )


async def append_many(writer: LedgerWriter, count: int) -> list[bytes]:
    """Append so many entries at once and return their ids."""
    drafts = [draft(os.urandom(8).hex()) for _ in range(count)]
    await asyncio.gather(*(writer.append(entry, timeout_s=10) for entry in drafts))
    return [entry.entry_id for entry in drafts]


async def gapless_sequences(connection: Any) -> dict[bytes, int]:
    """Return the number of entries of each writer, having seen that none is missing or double."""
    rows = await connection.fetch(
        "SELECT writer, count(*), min(seq), max(seq) FROM ledger_entry GROUP BY writer"
    )
    for row in rows:
        assert (row["min"], row["max"]) == (1, row["count"])
    return {row["writer"]: row["count"] for row in rows}
