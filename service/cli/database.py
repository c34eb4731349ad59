"""How does a command reach the database? The one in the settings, or the one under --var.

Invariant: the database is migrated before a command sees it; servers that were started for a
command are stopped after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from service.settings import Settings

Result = TypeVar("Result")
CONNECT_SECONDS = 10


class DatabaseError(Exception):
    """PostgreSQL cannot be used; the text says why."""

    code = "database_unusable"


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


def with_dsn(settings: Settings, act: Callable[[str], Awaitable[Result]]) -> Result:
    """Run `act` with the URL of the database and return its result.

    Raises `DatabaseError`, `EmbeddedError`, `KeyFileError`, `MigrationError` and what `act` raises.
    """
    from service.embedded import attach_or_start
    from service.secrets_files import ensure_keys

    ensure_keys(settings)
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
