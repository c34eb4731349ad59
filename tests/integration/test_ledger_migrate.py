"""Migrations run once, in order, and refuse what they do not know."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from service.migrate import MIGRATIONS, MigrationError, migrate, pending
from tests.integration.ledger_cases import Postgres

pytest_plugins = ["tests.integration.ledger_fixtures"]


@pytest.fixture
async def empty_dsn(ledger_postgres: Postgres) -> AsyncIterator[str]:
    """A database without tables."""
    connection = await asyncpg.connect(ledger_postgres.dsn)
    await connection.execute("DROP DATABASE IF EXISTS migrated")
    await connection.execute("CREATE DATABASE migrated")
    yield ledger_postgres.dsn.replace("/postgres?", "/migrated?")
    await connection.execute("DROP DATABASE migrated")
    await connection.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the migrations that a test may change."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


@pytest.mark.asyncio
async def test_applied_once_by_many(empty_dsn: str) -> None:
    """Several processes migrate at the same time: each file is applied once."""
    names = ["0001_ledger.sql", "0002_api_key.sql"]
    assert (await pending(empty_dsn))[:2] == names
    applied = await asyncio.gather(*(migrate(empty_dsn) for _ in range(4)))
    assert [name for part in applied for name in part][:2] == names
    assert await pending(empty_dsn) == []
    assert await migrate(empty_dsn) == []


@pytest.mark.asyncio
async def test_changed_file_is_refused(empty_dsn: str, files: Path) -> None:
    """A file that changed after it was applied is named."""
    await migrate(empty_dsn, files)
    (files / "0001_ledger.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=r"0001_ledger\.sql changed"):
        await migrate(empty_dsn, files)


@pytest.mark.asyncio
async def test_newer_database_is_refused(empty_dsn: str, files: Path) -> None:
    """A migration that this release does not know is named."""
    (files / "9999_future.sql").write_text("SELECT 1;")
    await migrate(empty_dsn, files)
    (files / "9999_future.sql").unlink()
    with pytest.raises(MigrationError, match=r"9999_future\.sql.*newer"):
        await migrate(empty_dsn, files)


@pytest.mark.asyncio
async def test_late_migration_is_refused(empty_dsn: str, files: Path) -> None:
    """A file that should have come before an applied one is named."""
    (files / "9999_last.sql").write_text("SELECT 1;")
    await migrate(empty_dsn, files)
    (files / "9000_late.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=r"9000_late\.sql is older"):
        await migrate(empty_dsn, files)


@pytest.mark.asyncio
async def test_failed_migration_leaves_no_trace(empty_dsn: str, files: Path) -> None:
    """A migration that fails in its middle is rolled back; the ones before it stay."""
    (files / "9000_broken.sql").write_text("CREATE TABLE half (x int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_dsn, files)
    assert await pending(empty_dsn, files) == ["9000_broken.sql"]
    (files / "9000_broken.sql").write_text("CREATE TABLE half (x int);")
    assert await migrate(empty_dsn, files) == ["9000_broken.sql"]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["1_short.sql", "0003-Name.sql", "0001_again.sql"])
async def test_badly_named_file_is_refused(empty_dsn: str, files: Path, name: str) -> None:
    """A file without a number of its own is named before anything is applied."""
    (files / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError):
        await migrate(empty_dsn, files)
