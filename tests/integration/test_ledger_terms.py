"""Terms of the blind index are written with their entry, found, and deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from service.audit.blind_index import BlindIndex, delete_terms, entries_with
from service.ledger.entry import EntryDraft
from service.ledger.errors import BadDraft
from service.ledger.writer import LedgerWriter
from tests.integration.ledger_cases import Postgres, draft

pytest_plugins = "tests.integration.ledger_fixtures"

INDEX = BlindIndex(b"t" * 32)
MONTH = "2026-11"


def indexed(event: str, **tags: str) -> EntryDraft:
    """An entry that can be found by these tags."""
    return draft(event)._replace(terms=INDEX.terms(tags, MONTH))


async def found(connection: Any, **tags: str) -> set[bytes]:
    return set(await entries_with(connection, INDEX.terms(tags, MONTH)))


async def test_entry_is_found_by_each_of_its_tags(connection: Any, writer: LedgerWriter) -> None:
    """An entry is found by each of its tags, in its month only, and not by those of others."""
    one = indexed("e-1", user="u-1", device="d-1")
    two = indexed("e-2", user="u-2", device="d-1")
    plain = draft("e-3")
    for entry in (one, two, plain):
        await writer.append(entry, timeout_s=5)
    assert await found(connection, user="u-1") == {one.entry_id}
    assert await found(connection, device="d-1") == {one.entry_id, two.entry_id}
    assert await found(connection, device="u-1") == set()
    other_month = INDEX.terms({"user": "u-1"}, "2026-12")
    assert await entries_with(connection, other_month) == []
    key_ids = await connection.fetch("SELECT 1 FROM entry_subject WHERE terms IS NULL")
    assert len(key_ids) == 1


async def test_spooled_entry_is_found_after_the_drain(
    ledger_postgres: Postgres, connection: Any, writer: LedgerWriter
) -> None:
    """Terms of an entry that waited in the spool come into the index with it."""
    del connection
    ledger_postgres.stop()
    entry = indexed("e-1", user="u-1")
    await writer.append(entry, timeout_s=5)
    assert writer.status().mode == "spooling"
    ledger_postgres.start()
    async with asyncio.timeout(20):
        while writer.status().mode != "live":  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.05)
    opened = await asyncpg.connect(ledger_postgres.dsn)
    try:
        assert await found(opened, user="u-1") == {entry.entry_id}
    finally:
        await opened.close()


async def test_deleted_terms_find_nothing(connection: Any, writer: LedgerWriter) -> None:
    """Deleted terms find nothing, all of an entry or some of it, and other entries stay."""
    one = indexed("e-1", user="u-1", device="d-1")
    two = indexed("e-2", user="u-2", device="d-1", ip="i-1")
    for entry in (one, two):
        await writer.append(entry, timeout_s=5)
    await delete_terms(connection, [one.entry_id])
    assert await found(connection, user="u-1") == set()
    assert await found(connection, device="d-1") == {two.entry_id}
    await delete_terms(
        connection, [one.entry_id, two.entry_id], INDEX.terms({"device": "d-1"}, MONTH)
    )
    assert await found(connection, device="d-1") == set()
    assert await found(connection, user="u-2") == {two.entry_id}
    assert await found(connection, ip="i-1") == {two.entry_id}


@pytest.mark.parametrize(
    "bad",
    [
        draft("e", subject=None)._replace(terms=(b"abcd",)),
        draft("e")._replace(terms=(b"abc",)),
        draft("e")._replace(terms=(b"abcd",) * 17),
    ],
    ids=["no subject", "short", "many"],
)
async def test_terms_that_do_not_fit_are_refused(writer: LedgerWriter, bad: EntryDraft) -> None:
    """Terms of another length, too many, or of an entry without a person are refused."""
    with pytest.raises(BadDraft):
        await writer.append(bad, timeout_s=5)
