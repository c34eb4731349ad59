"""A backup holds what the database held; restored, it is the same database again."""

from __future__ import annotations

import re
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from service.backup.chain import chain, check_chain
from service.backup.changes import KEPT, forget_changes
from service.backup.errors import BackupDamaged, BackupMissing, BackupNotWritten, NotEmpty
from service.backup.restore import load
from service.ledger.errors import WrongKek
from service.ledger.keys import FileKek
from service.ledger.verify import verify_log
from tests.backups import LOG, Log, empty_database, held, run_sql
from tests.integration.ledger_cases import KEK


@pytest.fixture
def log(fresh_postgres_url: str, tmp_path: Path) -> Log:
    """An empty log."""
    return Log(fresh_postgres_url, tmp_path)


async def test_full_and_incremental(log: Log) -> None:
    """Every table of the restored database has the rows that it had, after one backup or three."""
    await log.add(300)
    first = await log.back_up()
    assert first.backup.manifest.kind == "full"
    assert await held(await log.restored()) == await held(log.dsn)
    await log.add(280)
    await log.add(5, sign=False)
    second = await log.back_up()
    assert second.backup.manifest.kind == "incremental"
    assert (second.backup.manifest.first, second.backup.manifest.size) == (300, 580)
    assert await held(await log.restored()) == await held(log.dsn)
    await log.add(40)
    await log.back_up()
    dsn = await log.restored()
    assert await held(dsn) == await held(log.dsn)
    report = await verify_log(dsn, wrapper=FileKek(KEK), log=LOG)
    assert report.exit_code == 0, report.render()
    older = await log.restored(second.backup.manifest.id)
    assert (await held(older))["ledger_entry"][0] == 585


async def test_what_was_taken_out_stays_out(log: Log) -> None:
    """Columns cleared, keys destroyed and entries deleted since the full backup do not come back
    with it."""
    drafts = await log.add(60)
    await log.back_up()
    erased = [one.entry_id for one in drafts[:10]]
    key_ids = await run_sql(
        log.dsn,
        "DELETE FROM entry_subject WHERE entry_id = ANY($1::bytea[]) RETURNING key_id",
        erased,
    )
    await run_sql(
        log.dsn,
        "DELETE FROM subject_key WHERE key_id = ANY($1::bytea[])",
        [row["key_id"] for row in key_ids],
    )
    await run_sql(
        log.dsn,
        "UPDATE ledger_entry SET event_key = NULL, body_hash = NULL, subject = NULL "
        "WHERE entry_id = ANY($1::bytea[])",
        erased,
    )
    await run_sql(log.dsn, "DELETE FROM ledger_entry WHERE entry_id = $1", drafts[20].entry_id)
    # Another entry may have the event key that became free.
    await run_sql(
        log.dsn,
        "UPDATE ledger_entry SET event_key = $1 WHERE entry_id = $2",
        drafts[0].event_key,
        drafts[30].entry_id,
    )
    await log.add(5)
    taken = await log.back_up()
    assert taken.backup.manifest.kind == "incremental"
    assert await held(await log.restored()) == await held(log.dsn)


async def test_a_backup_of_another_past_begins_anew(log: Log) -> None:
    """After a restore, and on a log that lacks what was backed up, the next backup is full."""
    await log.add(30)
    await log.back_up()
    restored = Log(await log.restored(), log.folder)
    again = await restored.back_up()
    assert again.why_full == "the backups there are of another database"
    await run_sql(restored.dsn, "DELETE FROM ledger_leaf WHERE idx = 3")
    broken = await restored.back_up()
    assert broken.why_full == "the tree of the log is damaged"


async def test_changes_are_kept_for_five_weeks(log: Log) -> None:
    """What was changed longer ago no incremental backup finds: then the next one is full."""
    drafts = await log.add(30)
    await log.back_up()
    clear = "UPDATE ledger_entry SET subject = NULL WHERE entry_id = $1"
    await run_sql(log.dsn, clear, drafts[3].entry_id)
    await forget(log, datetime.now(UTC) + KEPT - timedelta(minutes=1))
    assert (await log.back_up()).backup.manifest.kind == "incremental"
    await forget(log, datetime.now(UTC) + KEPT + timedelta(minutes=1))
    assert not await run_sql(log.dsn, "SELECT FROM ledger_changed")
    after = await log.back_up()
    assert (after.backup.manifest.kind, after.why_full) == ("incremental", None)

    await run_sql(log.dsn, clear, drafts[4].entry_id)
    await forget(log, datetime.now(UTC) + KEPT + timedelta(minutes=1))
    late = await log.back_up()
    assert late.backup.manifest.kind == "full"
    assert late.why_full is not None
    assert "older than the changes" in late.why_full
    assert await held(await log.restored()) == await held(log.dsn)


async def forget(log: Log, now: datetime) -> None:
    """Do what the daily run does."""
    connection = await asyncpg.connect(log.dsn)
    try:
        await forget_changes(connection, now)
    finally:
        await connection.close()


async def test_only_into_an_empty_database(log: Log) -> None:
    """A database that has tables is refused and left as it is."""
    await log.add(3)
    await log.back_up()
    before = await held(log.dsn)
    with pytest.raises(NotEmpty):
        await load(log.dsn, chain(log.backups), FileKek(KEK))
    assert await held(log.dsn) == before


async def test_damage_is_seen(log: Log) -> None:
    """A changed, missing, added or exchanged file, manifest or backup is refused, with the
    key-encryption key even where somebody repaired the hashes; nothing is restored."""
    await log.add(40)
    await log.back_up()
    await log.add(10)
    await log.back_up()
    line = chain(log.backups)
    check_chain(line, FileKek(KEK))
    with pytest.raises(WrongKek):
        check_chain(line, FileKek(bytes(range(32))))
    files = [path for path in log.backups.rglob("*") if path.is_file()]
    assert len(files) > 50
    for path in files:
        content = path.read_bytes()
        for damaged in (content[:-1], bytes([content[0] ^ 1]) + content[1:], content + b"x"):
            path.write_bytes(damaged)
            with pytest.raises(BackupDamaged):
                check_chain(chain(log.backups), FileKek(KEK))
        path.write_bytes(content)
    (line[0].directory / "more.sealed").write_bytes(b"")
    with pytest.raises(BackupDamaged):
        check_chain(chain(log.backups), None)
    (line[0].directory / "more.sealed").unlink()
    # A file of the backup before in the place of its namesake: each opens only in its own place.
    one, other = (next(backup.directory.glob("*ledger_leaf-range*")) for backup in line)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    dsn = await empty_database(log.dsn)
    with pytest.raises(BackupDamaged):
        await load(dsn, line, FileKek(KEK))
    one.write_bytes(content)
    await load(dsn, line, FileKek(KEK))  # nothing of the first try is in the way
    line[0].directory.rename(log.folder / "away")
    with pytest.raises(BackupDamaged):
        chain(log.backups)
    with pytest.raises(BackupMissing):
        chain(log.backups, "ffff")


async def test_a_disk_that_is_full(log: Log) -> None:
    """The error says where nothing can be written, and nothing of the backup is left."""
    await log.add(60)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
    try:
        with pytest.raises(BackupNotWritten, match=re.escape(str(log.backups))):
            await log.back_up()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(log.backups.iterdir())
    log.backups.rmdir()
    log.backups.touch()
    with pytest.raises(BackupNotWritten, match="directory"):
        await log.back_up()


async def test_nothing_of_a_backup_is_readable(log: Log) -> None:
    """No header, no tag and no sealed block stands in a backup as it does in the database."""
    drafts = await log.add(20)
    taken = await log.back_up()
    content = b"".join(path.read_bytes() for path in log.backups.rglob("*") if path.is_file())
    rows = await run_sql(log.dsn, "SELECT header, core, subject FROM ledger_entry")
    for row in rows:
        assert all(bytes(row[name])[8:40] not in content for name in ("header", "core", "subject"))
    for one in drafts:
        assert one.event_key is not None
        assert one.event_key not in content
        assert one.entry_id not in content
    assert taken.backup.manifest.id.encode() in content
