"""How does a command reach the ledger and the velocity store together?

Those in the settings, or those under --var: of the running service, or started for the command.
Invariant: what was opened is closed, what was started is stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from features.catalog import DEFAULT_PATH, Catalog
from features.tags import Tagger, derive_tag_keys
from features.velocity.connect import Connection, connect
from features.velocity.store import VelocityUnavailable
from service.cli.database import CONNECT_SECONDS, DatabaseError, open_directory
from service.history.reader import LedgerHistory
from service.keys import open_wrapper
from service.ledger.keys import Keyring
from service.live.series import counted_catalog
from service.rights.journal import Digests
from service.secrets_files import read_keys
from service.settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stores:
    """Both stores and what reads them. `database` is an asyncpg connection of its own."""

    settings: Settings
    dsn: str
    database: Any
    valkey: Connection
    catalog: Catalog
    tagger: Tagger
    ring: Keyring
    history: LedgerHistory


def with_stores(settings: Settings, act: Callable[[Stores], Awaitable[Result]]) -> Result:
    """Run `act` with both stores and return its result.

    Raises `CatalogError`, `DatabaseError`, `EmbeddedError`, `MigrationError`, and what
    `open_directory` and `act` raise; for a store that is away `DatabaseError`.
    """
    from service.embedded import attach_or_start

    open_directory(settings)
    dsn, url = settings.postgres.url, settings.valkey.url
    if dsn is not None and url is not None:
        return asyncio.run(_run(settings, dsn, url, act))
    with attach_or_start(settings.var, valkey=url is None, postgres=dsn is None) as urls:
        dsn, url = dsn or urls.postgres_url, url or urls.valkey_url
        if dsn is None or url is None:
            raise DatabaseError(
                f"the service on {settings.var} uses servers of its own: "
                "set TOUCHSTONE_POSTGRES__URL and TOUCHSTONE_VALKEY__URL as it does"
            )
        return asyncio.run(_run(settings, dsn, url, act))


async def _run(
    settings: Settings, dsn: str, url: str, act: Callable[[Stores], Awaitable[Result]]
) -> Result:
    import asyncpg

    from service.migrate import migrate

    keys = read_keys(settings)
    ring = Keyring(open_wrapper(settings))
    valkey = connect(url)
    try:
        await migrate(dsn)
        database = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            declared = Catalog.load(settings.catalog or DEFAULT_PATH)
            return await act(
                Stores(
                    settings=settings,
                    dsn=dsn,
                    database=database,
                    valkey=valkey,
                    catalog=await counted_catalog(database, declared),
                    tagger=Tagger(derive_tag_keys(keys.tag)),
                    ring=ring,
                    history=LedgerHistory(
                        database, ring, settings.ledger.log_name, digests=Digests(keys.tag)
                    ),
                )
            )
        finally:
            await database.close(timeout=CONNECT_SECONDS)
    except VelocityUnavailable as error:
        raise DatabaseError(f"the velocity store cannot be used: {error}") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        text = str(error).strip() or type(error).__name__
        raise DatabaseError(f"PostgreSQL cannot be used: {text}") from error
    finally:
        await valkey.close()
