"""A service for tests: in this process on real servers, or as the processes that users start."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import io
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from rich.console import Console

from service.api.app import create_app
from service.api_key import SCOPES, KeyHash, create_key
from service.embedded import EmbeddedServers
from service.ledger.keys import FileKek, Keyring
from service.ledger.reader import FoundEntry, LedgerReader
from service.migrate import migrate
from service.people.roles import PROGRAM_SCOPES, ROLES
from service.runtime import Runtime
from service.secrets_files import ensure_keys, read_keys
from service.settings import Settings
from tests.http_client import Client
from tests.people import person_key
from tests.served import Served, free_port, served, touchstone
from training.command_train import train_bundle

KEK = hashlib.sha256(b"the key-encryption key of the tests' services").digest()
TAG_KEY = hashlib.sha256(b"the tag key of the tests' services").digest()


@dataclass(frozen=True)
class Here:
    """A service in this process and a client of it that has every scope."""

    client: Client
    runtime: Runtime
    settings: Settings
    transport: httpx.ASGITransport

    async def new_key(self, *scopes: str) -> str:
        """Return a fresh API key with these scopes."""
        return await prepared_key(self.settings, scopes)


def settings_on(
    servers: EmbeddedServers, base: Path, *, patient_ms: int | None = None, **more: Any
) -> Settings:
    """Return settings for a service on `servers` that keeps its files under `base`.

    `patient_ms` replaces the time budgets in tests that are about something else than time.
    """
    settings = Settings(
        var=base / "var",
        valkey={"url": servers.valkey_url, "budget_ms": 40 if patient_ms is None else patient_ms},
        postgres={"url": servers.postgres_url},
        http={"budget_ms": 150 if patient_ms is None else patient_ms},
        keys={"kek_file": base / "kek.key", "tag_key_file": base / "tag.key"},
        **more,
    )
    for path, key in ((settings.kek_path, KEK), (settings.tag_key_path, TAG_KEY)):
        path.write_bytes(key)
        path.chmod(0o600)
    shutil.copytree(_bundles(), settings.var / "bundles")
    return settings


@cache
def _bundles() -> Path:
    """Train a small bundle, once for all tests of a run."""
    var = Path(tempfile.mkdtemp(prefix="touchstone-tests-"))
    atexit.register(shutil.rmtree, var, ignore_errors=True)
    settings = Settings(var=var)
    until = datetime(2026, 11, 1, tzinfo=UTC)
    console = Console(file=io.StringIO())
    train_bundle(settings, console, source="simulator", events=3000, seed=1, until=until)
    return var / "bundles"


async def prepared_key(settings: Settings, scopes: Sequence[str] = tuple(SCOPES)) -> str:
    """Migrate the database of `settings` and return an API key with these scopes.

    With scopes that no program can have it is the key of the person `tests`, who has every role.
    """
    assert settings.postgres.url is not None
    dsn = settings.postgres.url
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    hashed = KeyHash(read_keys(settings).tag)
    try:
        if PROGRAM_SCOPES.issuperset(scopes):
            return (await create_key(connection, hashed, "tests", scopes))[1]
        return await person_key(connection, hashed, "tests", *ROLES, scopes=scopes)
    finally:
        await connection.close()


@asynccontextmanager
async def service_here(settings: Settings) -> AsyncIterator[Here]:
    """Run the app in this process, on the servers that `settings` name."""
    ensure_keys(settings)
    key = await prepared_key(settings)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with Client(key, transport=transport) as client:
            yield Here(client, app.state.runtime, settings, transport)


@contextmanager
def service_process(
    settings: Settings, log: Path, workers: int = 2
) -> Iterator[tuple[Served, str]]:
    """Run `touchstone serve` on the servers that `settings` name; yield it and an API key."""
    ensure_keys(settings)
    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop of its own
        key = thread.submit(asyncio.run, prepared_key(settings)).result()
    port = free_port()
    command = touchstone(
        "serve", "--port", str(port), "--workers", str(workers), "--var", str(settings.var)
    )
    with served(command, port, "/readyz", log, environment_of(settings)) as running:
        yield running, key


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a child process these settings."""
    assert settings.valkey.url is not None
    assert settings.postgres.url is not None
    rules_dir = settings.rules_dir
    return {
        **({} if rules_dir is None else {"TOUCHSTONE_RULES_DIR": str(rules_dir)}),
        "TOUCHSTONE_CLOCK": settings.clock,
        "TOUCHSTONE_HTTP__BUDGET_MS": str(settings.http.budget_ms),
        "TOUCHSTONE_VALKEY__BUDGET_MS": str(settings.valkey.budget_ms),
        "TOUCHSTONE_LEDGER__SPOOL_MAX_BYTES": str(settings.ledger.spool_max_bytes),
        "TOUCHSTONE_VALKEY__URL": settings.valkey.url,
        "TOUCHSTONE_POSTGRES__URL": settings.postgres.url,
        "TOUCHSTONE_KEYS__KEK_FILE": str(settings.kek_path),
        "TOUCHSTONE_KEYS__TAG_KEY_FILE": str(settings.tag_key_path),
    }


async def entries(settings: Settings) -> list[FoundEntry]:
    """Return every entry of the ledger, opened, in the order in which they were written."""
    assert settings.postgres.url is not None
    dsn = settings.postgres.url
    ring = Keyring(FileKek(read_keys(settings).kek))
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        reader = LedgerReader(pool, ring, settings.ledger.log_name)
        rows = await pool.fetch("SELECT entry_id FROM ledger_entry ORDER BY writer, seq")
        found = [await reader.find_by_entry_id(row["entry_id"], with_subject=True) for row in rows]
    return [entry for entry in found if entry is not None]
