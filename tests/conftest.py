"""What do tests stand on? Real servers, one pair for the whole run, and databases of their own."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
import redis

from service.embedded import EmbeddedServers
from service.migrate import migrate

REPOSITORY = Path(__file__).resolve().parent.parent
TEMPLATE = "touchstone_template"
VALKEY_DATABASES = 16  # Valkey's default; 0 is the shared one

# How long an example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("touchstone", deadline=None)
hypothesis.settings.load_profile("touchstone")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the machine that runs the tests do not reach them."""
    for name in list(os.environ):
        if name.startswith("TOUCHSTONE_") and name != "TOUCHSTONE_DATA":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Valkey and PostgreSQL for the whole run. Do not stop them: start your own for that."""
    with EmbeddedServers.start(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture(scope="session")
def valkey_url(servers: EmbeddedServers) -> str:
    """A Valkey that all tests share: use tags of your own."""
    assert servers.valkey_url is not None
    return servers.valkey_url


@pytest.fixture(scope="session")
def _new_valkey_url(valkey_url: str) -> Callable[[], str]:
    numbers = itertools.cycle(range(1, VALKEY_DATABASES))

    def make() -> str:
        url = f"{valkey_url.partition('?')[0]}?db={next(numbers)}"
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        return url

    return make


@pytest.fixture
def fresh_valkey_url(_new_valkey_url: Callable[[], str]) -> str:
    """An empty Valkey database for one test."""
    return _new_valkey_url()


@pytest.fixture(scope="module")
def module_valkey_url(_new_valkey_url: Callable[[], str]) -> str:
    """An empty Valkey database for the tests of one file."""
    return _new_valkey_url()


@pytest.fixture(scope="session")
def new_postgres_url(servers: EmbeddedServers) -> Callable[[], str]:
    """A function that makes a migrated database and returns its URL, in about 50 ms."""
    assert servers.postgres_url is not None
    server = servers.postgres_url
    _execute(server, f"CREATE DATABASE {TEMPLATE}")
    asyncio.run(migrate(_database(server, TEMPLATE)))
    numbers = itertools.count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        # FILE_COPY: no pages through the write-ahead log, several times faster for a template.
        _execute(server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        return _database(server, name)

    return make


@pytest.fixture(scope="session")
def postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """A migrated database that all tests share: use names of your own."""
    return new_postgres_url()


@pytest.fixture(scope="module")
def module_postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """A migrated, empty database for the tests of one file."""
    return new_postgres_url()


@pytest.fixture
def fresh_postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """A migrated, empty database for one test."""
    return new_postgres_url()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data sets; tests that ask for them are skipped where there are none."""
    directory = Path(os.environ.get("TOUCHSTONE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not directory.is_dir():
        pytest.skip(f"no data sets in {directory} (TOUCHSTONE_DATA names another place)")
    return directory


def _database(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")


def _execute(dsn: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
