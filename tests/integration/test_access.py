"""API keys on a real database: who gets in, how soon a change counts, what a dead database does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.access import (
    REFRESH_SECONDS,
    ApiKeys,
    InvalidKey,
    KeysUnavailable,
    MissingKey,
    MissingScope,
)
from service.api_key import ApiKeyError, KeyHash, create_key, list_keys, revoke_key
from service.embedded import EmbeddedServers
from service.migrate import migrate

TAG_KEY = bytes(range(32))


@pytest.fixture
async def connection(fresh_postgres_url: str) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(fresh_postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def keys(fresh_postgres_url: str) -> AsyncIterator[ApiKeys]:
    async with ApiKeys(fresh_postgres_url, TAG_KEY) as running:
        yield running


async def made(connection: Any, *scopes: str) -> str:
    """Make a key with these scopes (default: score) and return it."""
    return (await create_key(connection, KeyHash(TAG_KEY), "shop", scopes or ["score"]))[1]


async def test_a_key_made_a_moment_ago_gets_in(keys: ApiKeys, connection: Any) -> None:
    """A miss looks into the database at once."""
    key = await made(connection)
    started = time.monotonic()
    caller = await keys.authorize(f"Bearer {key}", "score")
    assert caller.name == "shop"
    assert caller.scopes == {"score"}
    assert time.monotonic() - started < REFRESH_SECONDS / 2


async def test_many_callers_with_one_new_key_get_in(keys: ApiKeys, connection: Any) -> None:
    """Misses share a look into the database."""
    header = f"Bearer {await made(connection)}"
    callers = await asyncio.gather(*(keys.authorize(header, "score") for _ in range(100)))
    assert len({caller.key_id for caller in callers}) == 1


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "Basic dXNlcjpwYXNz"])
async def test_no_key_is_told_apart_from_a_wrong_one(keys: ApiKeys, header: str | None) -> None:
    """Without a bearer key the answer is `missing_key`."""
    with pytest.raises(MissingKey):
        await keys.authorize(header, "score")


async def test_wrong_keys_do_not_get_in(keys: ApiKeys, connection: Any) -> None:
    """Neither an unknown id, nor a right id with a wrong secret, nor something else gets in."""
    key = await made(connection)
    for wrong in (f"{key}x", key[:-1], key.replace("_", "-"), "ts_unknown_secret", "x", "é_ü_ñ"):
        with pytest.raises(InvalidKey):
            await keys.authorize(f"Bearer {wrong}", "score")


async def test_a_scope_is_needed(keys: ApiKeys, connection: Any) -> None:
    """A key does what its scopes say and no more."""
    key = await made(connection, "events:write")
    await keys.authorize(f"bearer {key}", "events:write")
    with pytest.raises(MissingScope):
        await keys.authorize(f"Bearer {key}", "score")


async def test_a_revoked_key_stops_working_within_seconds(keys: ApiKeys, connection: Any) -> None:
    """Revocation reaches a running service by itself."""
    key = await made(connection)
    await keys.authorize(f"Bearer {key}", "score")
    await revoke_key(connection, key.split("_")[1])
    deadline = time.monotonic() + 2 * REFRESH_SECONDS
    while True:
        try:
            await keys.authorize(f"Bearer {key}", "score")
        except InvalidKey:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_only_a_hash_is_stored(connection: Any) -> None:
    """Nothing of the secret part is in the table, and the hash depends on the tag key."""
    key = await made(connection)
    row = await connection.fetchrow("SELECT * FROM api_key")
    assert key.split("_")[2] not in str(dict(row))
    assert row["hash"] == KeyHash(TAG_KEY)(key) != KeyHash(bytes(32))(key)


async def test_bad_wishes_are_refused_with_a_hint(connection: Any) -> None:
    """Unknown scopes, no scopes, no name and unknown ids are told in words."""
    hashed = KeyHash(TAG_KEY)
    with pytest.raises(ApiKeyError, match="did you mean score"):
        await create_key(connection, hashed, "shop", ["scores"])
    with pytest.raises(ApiKeyError, match="needs scopes"):
        await create_key(connection, hashed, "shop", [])
    with pytest.raises(ApiKeyError, match="needs a name"):
        await create_key(connection, hashed, " ", ["score"])
    with pytest.raises(ApiKeyError, match="no API key"):
        await revoke_key(connection, "unknown")
    assert await list_keys(connection) == []


async def test_the_last_known_keys_hold_while_the_database_is_down(tmp_path: Path) -> None:
    """A database that is down locks nobody out who was in, and lets nobody else in."""
    with EmbeddedServers.start(tmp_path / "var", valkey=False) as servers:
        assert servers.postgres is not None
        assert servers.postgres_url is not None
        await migrate(servers.postgres_url)
        connection = await asyncpg.connect(servers.postgres_url)
        key = await made(connection)
        stranger = f"ts_unknown_{key.split('_')[2]}"
        await connection.close()
        async with ApiKeys(servers.postgres_url, TAG_KEY) as keys:
            await keys.authorize(f"Bearer {key}", "score")
            servers.postgres.stop()
            await asyncio.sleep(0.3)
            await keys.authorize(f"Bearer {key}", "score")
            with pytest.raises(InvalidKey):
                await keys.authorize(f"Bearer {stranger}", "score")
            async with ApiKeys(servers.postgres_url, TAG_KEY) as blind:
                with pytest.raises(KeysUnavailable):
                    await blind.authorize(f"Bearer {key}", "score")
                servers.postgres.start()
                await blind.authorize(f"Bearer {key}", "score")
