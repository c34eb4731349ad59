"""Who came in is on record, and who tried to; programs are not, and nobody floods the record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from service.access import ApiKeys, InvalidKey
from service.api_key import KeyHash, create_key, revoke_key
from service.ledger.entry import unframed
from service.ledger.keys import FileKek, Keyring
from service.ledger.seal import open_sealed
from service.ledger.writer import LedgerWriter, WriterSettings
from service.logins import Logins
from tests.people import person_key

TAG_KEY = bytes(range(32))
HASHED = KeyHash(TAG_KEY)
ATTEMPTS = 500


async def logins(connection: Any, ring: Keyring) -> list[dict[str, Any]]:
    """Return what the entries about logins say, core and staff together."""
    found = []
    for row in await connection.fetch(
        "SELECT entry_id, header, core, staff FROM ledger_entry WHERE type = 'login' "
        "ORDER BY writer, seq"
    ):
        said: dict[str, Any] = {}
        for block in ("core", "staff"):
            name = orjson.loads(row["header"])["blocks"][block]["key"]
            key = ring.held_month_key(name)
            assert key is not None
            sealed = open_sealed(key, "test", row["entry_id"], block, row[block])
            said |= orjson.loads(unframed(sealed).content)
        found.append(said)
    return found


async def refuse(keys: ApiKeys, key: str) -> None:
    with pytest.raises(InvalidKey):
        await keys.authenticate(f"Bearer {key}")


async def test_people_are_recorded_and_programs_are_not(
    fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A person's first use in an hour is one entry; attempts with a known key id are bounded."""
    connection = await asyncpg.connect(fresh_postgres_url)
    person = await person_key(connection, HASHED, "ana", "analyst")
    shop, program = await create_key(connection, HASHED, "shop", ["score"])
    old, revoked = await create_key(connection, HASHED, "old", ["score"])
    await revoke_key(connection, old.key_id)
    ring = Keyring(FileKek(b"k" * 32))
    writer = await LedgerWriter.start(
        WriterSettings(fresh_postgres_url, "test", tmp_path / "spool"), ring
    )
    async with ApiKeys(fresh_postgres_url, TAG_KEY, Logins(writer)) as keys:
        for _ in range(3):
            await keys.authenticate(f"Bearer {person}")
            await keys.authenticate(f"Bearer {program}")
        for _ in range(ATTEMPTS):
            await refuse(keys, f"{program[:-4]}zzzz")
        await refuse(keys, revoked)
        await refuse(keys, "ts_nobody_knows")
        async with asyncio.timeout(10):
            while len(await logins(connection, ring)) < 3:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.05)
        first = await logins(connection, ring)
    found = await logins(connection, ring)
    await writer.close()
    await connection.close()
    assert len(first) == 3
    entered, tried, late, *rest = found
    assert entered["result"] == "in"
    assert (entered["actor"], entered["roles"]) == ("ana", ["analyst"])
    assert (tried["why"], tried["key"]) == ("wrong_secret", shop.key_id)
    assert (late["why"], late["key"]) == ("revoked", old.key_id)
    # What was tried within the minute is counted in the next entry, here at the end.
    (at_end,) = rest
    assert tried["attempts"] + at_end["attempts"] == ATTEMPTS
    assert all(secret not in str(found) for secret in (program, person, revoked))


async def test_logins_wait_for_a_ledger_that_is_full(tmp_path: Path) -> None:
    """While nothing can be recorded people come in, and it is recorded afterwards or counted."""
    writer = await LedgerWriter.start(
        WriterSettings("postgresql://127.0.0.1:1/none", "test", tmp_path / "spool", 0),
        Keyring(FileKek(b"k" * 32)),
    )
    async with Logins(writer) as running:
        running.used("key", "ana", ())
        await asyncio.sleep(0.1)
        assert len(running._waiting) == 1
        for number in range(2_000):
            running.used(f"key-{number}", "ana", ())
        assert len(running._waiting) == 1_000
        assert running._lost == 1_001
    await writer.close()
