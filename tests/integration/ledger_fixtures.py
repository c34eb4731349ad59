"""Fixtures of the ledger's tests; a test file asks for them with `pytest_plugins`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.ledger.keys import FileKek, Keyring
from service.ledger.reader import LedgerReader
from service.ledger.writer import LedgerWriter, WriterSettings
from service.migrate import migrate
from tests.integration.ledger_cases import KEK, Postgres

TABLES = (
    "ledger_entry, entry_subject, subject_key, ledger_key, ledger_writer, ledger_queue, "
    "ledger_tree, ledger_leaf, ledger_node, ledger_checkpoint, ledger_cosignature, "
    "ledger_manifest, ledger_signer_key, ledger_signer"
)


@pytest.fixture(scope="session")
def ledger_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for all tests of the ledger in this process."""
    postgres = Postgres(tmp_path_factory.mktemp("ledger-postgres"))
    yield postgres
    postgres.close()


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
