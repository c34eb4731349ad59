"""Month keys and keys of persons are replaced while entries are written; each step is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg

from service.keys import open_wrapper
from service.ledger.agreed import read_agreed
from service.ledger.keys import Keyring
from service.ledger.reader import LedgerReader
from tests.integration.rotation_cases import all_open, machine, rotation, under_load, worker


async def test_month_keys_are_replaced_under_load(fresh_postgres_url: str, tmp_path: Path) -> None:
    """When the rotation returns, every writer seals with one fresh key, and old entries open."""
    settings = machine(tmp_path, fresh_postgres_url)
    async with worker(settings, "one") as one, worker(settings, "two") as two:
        async with under_load(one, two):
            async with rotation(settings) as rotating:
                await rotating.months()
            middle = len(one.appended), len(two.appended)
        entries = one.appended + two.appended
        fresh = one.appended[middle[0] + 4 :] + two.appended[middle[1] + 4 :]
    names = await _core_keys(fresh_postgres_url, fresh)
    before = await _core_keys(fresh_postgres_url, [one.appended[0], two.appended[0]])
    assert len(fresh) > 20
    assert len(names) == 1
    assert not names & before
    await all_open(settings, entries[:: len(entries) // 50])


async def test_keys_of_persons_are_replaced_under_load(
    fresh_postgres_url: str, tmp_path: Path
) -> None:
    """When the rotation returns, a person's next entry is under another key, and both open."""
    settings = machine(tmp_path, fresh_postgres_url)
    async with worker(settings) as one:
        first = await one.append(0, "user:ana")
        again = await one.append(0, "user:ana")
        async with under_load(one), rotation(settings) as rotating:
            await rotating.subjects()
        last = await one.append(0, "user:ana")
    keys = await _subject_keys(fresh_postgres_url, [first, again, last])
    assert keys[first] == keys[again] != keys[last]
    await all_open(settings, [first, again, last])


async def test_what_was_done_is_recorded(fresh_postgres_url: str, tmp_path: Path) -> None:
    """Each step leaves an entry `keys.rotate`; nothing of a key is in it."""
    settings = machine(tmp_path, fresh_postgres_url)
    async with rotation(settings) as rotating:
        done = await rotating.kek()
        await rotating.months()
        await rotating.subjects()
    async with asyncpg.create_pool(fresh_postgres_url, min_size=1, max_size=1) as pool:
        reader = LedgerReader(pool, Keyring(open_wrapper(settings)), "test", timeout_s=10)
        rows = await pool.fetch(
            "SELECT entry_id FROM ledger_entry WHERE type = 'keys.rotate' ORDER BY observed, seq"
        )
        cores = [(await reader.find_by_entry_id(row["entry_id"])) for row in rows]
        epoch = (await read_agreed(pool)).epoch
    told = [found.core or {} for found in cores if found is not None]
    assert [(core["key"], core["step"]) for core in told] == [
        ("kek", "begin"),
        ("kek", "switch"),
        ("kek", "done"),
        ("month", "done"),
        ("subject", "done"),
    ]
    assert [core["epoch"] for core in told] == [1, 2, 3, 4, 5]
    assert epoch == 5
    assert all(core["after"] == done.after.hex() for core in told[:3])


async def _core_keys(dsn: str, entry_ids: list[bytes]) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT header FROM ledger_entry WHERE entry_id = ANY($1::bytea[])", entry_ids
        )
    finally:
        await connection.close()
    return {json.loads(row["header"])["blocks"]["core"]["key"] for row in rows}


async def _subject_keys(dsn: str, entry_ids: list[bytes]) -> dict[bytes, Any]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT entry_id, key_id FROM entry_subject WHERE entry_id = ANY($1::bytea[])",
            entry_ids,
        )
    finally:
        await connection.close()
    return {row["entry_id"]: row["key_id"] for row in rows}
