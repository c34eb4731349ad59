"""How does a command reach the database? The one in the settings, or the one under --var.

Invariants: the database is migrated before a command sees it; servers that were started for a
command are stopped after it; a directory that holds no database gets one only from a command that
says that it begins it, so that a mistyped --var is not an empty log that verifies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from service.settings import PREFIX, Settings

Result = TypeVar("Result")
CONNECT_SECONDS = 10


class DatabaseError(Exception):
    """PostgreSQL cannot be used; the text says why."""

    code = "database_unusable"


class NothingHere(Exception):
    """The data directory holds no database, and the command is none that begins one."""

    code = "nothing_here"


def open_directory(settings: Settings, *, begins: bool = False) -> None:
    """Check that the data directory is one, and its keys; `begins`: it may be a fresh one.

    Raises `KeyFileError`, `KeyServiceError` and `NothingHere`.
    """
    from service.secrets_files import ensure_keys

    run = settings.var / "run"
    # The first is of servers that were started here, the others of a service that runs on it with
    # servers elsewhere: that is said when it is asked for them.
    holds = (settings.var / "postgres" / "PG_VERSION", run / "service.json", run / "embedded.json")
    if not begins and settings.postgres.url is None and not any(one.exists() for one in holds):
        raise NothingHere(
            f"no service has kept data under {settings.var.absolute()}: check --var, or set "
            f"{PREFIX}POSTGRES__URL; `touchstone serve` begins there, `touchstone restore` brings "
            "a backup back"
        )
    ensure_keys(settings)


def with_database(settings: Settings, act: Callable[[Any], Awaitable[Result]]) -> Result:
    """Run `act` on an asyncpg connection and return its result. Raises as `with_dsn` does."""

    async def connected(dsn: str) -> Result:
        import asyncpg

        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            return await act(connection)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    return with_dsn(settings, connected)


def with_dsn(
    settings: Settings, act: Callable[[str], Awaitable[Result]], *, begins: bool = False
) -> Result:
    """Run `act` with the URL of the database and return its result.

    `begins`: also in a directory where no service has run yet.
    Raises `DatabaseError`, `EmbeddedError`, `MigrationError`, and what `open_directory` and `act`
    raise.
    """
    from service.embedded import attach_or_start

    open_directory(settings, begins=begins)
    if settings.postgres.url is not None:
        return asyncio.run(_run(settings.postgres.url, act))
    with attach_or_start(settings.var, valkey=False) as urls:
        if urls.postgres_url is None:
            raise DatabaseError(
                f"the service on {settings.var} uses a PostgreSQL of its own: "
                "set TOUCHSTONE_POSTGRES__URL as it does"
            )
        return asyncio.run(_run(urls.postgres_url, act))


async def _run(dsn: str, act: Callable[[str], Awaitable[Result]]) -> Result:
    import asyncpg

    from service.migrate import migrate

    try:
        await migrate(dsn)
        return await act(dsn)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        text = str(error).strip() or type(error).__name__
        raise DatabaseError(f"PostgreSQL cannot be used: {text}") from error
