"""What is past its time goes, day by day, and nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from service.ledger.entry import EntryDraft
from service.ledger.verify import verify_log
from service.rights.periods import Periods
from service.rights.requests import decide
from service.rights.retention import Deleted, RetentionBusy, run_retention
from tests.integration.history_cases import entry, store
from tests.people import give_roles

PERIODS = Periods(subject_days=180, core_days=1095, staff_days=365, staff_long_days=1095)
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
_LABEL = """
INSERT INTO label (event_tag, label, source, known_at, observed_at, actor, batch)
VALUES ($1, 1, 'chargeback', $2, $2, 'anna', gen_random_uuid())
"""
_BLOCKS = """
SELECT entry_id, core IS NOT NULL, subject IS NOT NULL, staff IS NOT NULL, event_key IS NOT NULL
FROM ledger_entry
"""


@pytest.fixture
async def connection(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to an empty database."""
    opened = await asyncpg.connect(fresh_postgres_url)
    yield opened
    await opened.close()


def ago(days: float) -> datetime:
    """Return a time so many days before the run."""
    return NOW - timedelta(days=days)


def action(kind: str, days: float) -> EntryDraft:
    """An entry about somebody at work."""
    return EntryDraft(
        entry_id=os.urandom(16),
        type=kind,
        event_key=None,
        body_hash=None,
        observed_at=ago(days),
        versions={},
        core=b"{}",
        staff=orjson.dumps({"actor": "anna"}),
    )


async def run(connection: Any, *, now: datetime = NOW, dry_run: bool = False) -> Deleted:
    return await run_retention(connection, PERIODS, 3650, now, dry_run=dry_run)


async def blocks(connection: Any) -> dict[bytes, tuple[bool, ...]]:
    """Return for each entry whether it has core, subject, staff and event key."""
    return {row[0]: tuple(row)[1:] for row in await connection.fetch(_BLOCKS)}


def counts(deleted: Deleted) -> tuple[int, int, int]:
    """Return how many subject blocks, core blocks and labels went."""
    return deleted.subject_blocks, deleted.core_blocks, deleted.labels


async def label(connection: Any, draft: EntryDraft, days: float) -> None:
    """Say something of the event of an entry."""
    assert draft.event_key is not None
    await connection.execute(_LABEL, draft.event_key.decode(), ago(days))


async def test_each_block_goes_at_its_time(connection: Any, fresh_postgres_url: str) -> None:
    """A second before its time a block is there, a second after it is not; headers always are."""
    second = 1 / 86_400
    drafts = {
        "fresh": entry(ago(180 - second)),
        "no_subject": entry(ago(180 + second)),
        "no_core": entry(ago(1095 + second)),
        "login": action("login", 365 - second),
        "old_login": action("login", 365 + second),
        "rules": action("rules.push", 365 + second),
        "old_rules": action("rules.push", 1095 + second),
    }
    await store(fresh_postgres_url, list(drafts.values()))
    would = await run(connection, dry_run=True)
    assert all(any(kept) for kept in (await blocks(connection)).values())
    done = await run(connection)
    assert done.subject_blocks == would.subject_blocks == 2
    assert done.staff_blocks == would.staff_blocks == 2
    assert done.core_blocks == would.core_blocks == 2
    found = await blocks(connection)
    assert {name: found[draft.entry_id] for name, draft in drafts.items()} == {
        "fresh": (True, True, False, True),
        "no_subject": (True, False, False, False),
        "no_core": (False, False, False, False),
        "login": (True, False, True, False),
        "old_login": (True, False, False, False),
        "rules": (True, False, True, False),
        "old_rules": (False, False, False, False),
    }
    assert await run(connection) == Deleted()
    report = await verify_log(fresh_postgres_url)
    assert not report.counts.get("invalid")
    assert not report.counts.get("gap")


async def test_keys_that_open_nothing_go(connection: Any, fresh_postgres_url: str) -> None:
    """A person's key goes with their last block, a month key with the last block of its month."""
    await store(fresh_postgres_url, [entry(ago(2000), tags={"user": "old"})])
    await store(fresh_postgres_url, [entry(ago(10), tags={"user": "fresh"})])
    await connection.execute("UPDATE subject_key SET created_at = $1", ago(400))
    assert (await run(connection, dry_run=True)).month_keys == 1
    done = await run(connection)
    assert (done.subject_keys, done.month_keys) == (1, 1)
    keys = await connection.fetch("SELECT subject_tag FROM subject_key")
    assert [row["subject_tag"] for row in keys] == ["user:fresh"]
    months = await connection.fetch("SELECT name FROM ledger_key")
    assert [row["name"][:12] for row in months] == [f"core/{ago(10):%Y-%m}"]


async def test_what_comes_in_late_goes_on_the_first_of_a_month(
    connection: Any, fresh_postgres_url: str
) -> None:
    """An old spool brings in what is long past: its month key stays until all days are seen."""
    await store(fresh_postgres_url, [entry(ago(1500))])
    await run(connection)
    await store(fresh_postgres_url, [entry(ago(2000))])
    done = await run(connection)
    assert (done.core_blocks, done.month_keys) == (0, 0)
    done = await run(connection, now=datetime(2026, 12, 1, 12, tzinfo=UTC))
    assert (done.core_blocks, done.month_keys) == (1, 1)


async def test_what_is_restricted_stays_until_it_is_lifted(
    connection: Any, fresh_postgres_url: str
) -> None:
    """A restriction holds what is past its time, also what was said of an event; the run after it
    was lifted deletes it. Others' data goes meanwhile."""
    held, others = (entry(ago(1100), tags={"user": name}) for name in ("held", "other"))
    await store(fresh_postgres_url, [held, others])
    for draft in (held, others):
        await label(connection, draft, 1100)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        "INSERT INTO rights_request (kind, tags, requested_by, entry_id) "
        "VALUES ('restrict', '{user:held}', 'anna', '')"
    )
    would = await run(connection, dry_run=True)
    assert counts(await run(connection)) == counts(would) == (1, 1, 1)
    assert (await blocks(connection))[held.entry_id] == (True, True, False, True)
    await connection.execute("SET session_replication_role = origin")
    await give_roles(connection, "ben", "compliance")
    await decide(connection, 1, "lifted", "ben")
    assert counts(await run(connection)) == (1, 1, 1)
    assert (await blocks(connection))[held.entry_id] == (False, False, False, False)


async def test_two_runs_never_overlap(connection: Any, fresh_postgres_url: str) -> None:
    """The second one says so and deletes nothing."""
    other = await asyncpg.connect(fresh_postgres_url)
    try:
        await other.execute("SELECT pg_advisory_lock($1)", 0x726574656E74)
        with pytest.raises(RetentionBusy):
            await run(connection)
    finally:
        await other.close()
