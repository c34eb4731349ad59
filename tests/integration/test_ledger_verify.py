"""Whatever is changed in the tables is found, and the report says what was not looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.ledger.errors import WrongKek
from service.ledger.keys import FileKek, Keyring
from service.ledger.report import Report
from service.ledger.spool import Spool
from service.ledger.verify import verify_log
from service.ledger.writer import LedgerWriter, WriterSettings
from tests.integration.ledger_cases import KEK, draft

pytest_plugins = ["tests.integration.ledger_fixtures"]


def flip(column: str, place: int) -> str:
    """A statement that flips a bit in a column of the entry in the middle."""
    statement = "UPDATE ledger_entry SET $c = set_byte($c, $p, get_byte($c, $p) # 1) WHERE seq = 4"
    return statement.replace("$c", column).replace("$p", str(place))


@pytest.fixture
async def log(writer_settings: WriterSettings, connection: Any) -> AsyncIterator[WriterSettings]:
    """A log of one writer that stopped after eight entries, numbers 1 to 8."""
    writer = await LedgerWriter.start(writer_settings, Keyring(FileKek(KEK)))
    for number in range(8):
        person = f"user:{number % 2}"
        await writer.append(draft(f"e-{number}", person=person, staff=b"{}"), timeout_s=5)
    await writer.close()
    # Tampering does not ask constraints.
    await connection.execute(
        "ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_writer_seq_key;"
        "ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_event_key_key;"
        "ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_pkey"
    )
    yield writer_settings
    await connection.execute("TRUNCATE ledger_entry")
    await connection.execute(
        "ALTER TABLE ledger_entry ADD CONSTRAINT ledger_entry_pkey PRIMARY KEY (entry_id);"
        "ALTER TABLE ledger_entry ADD CONSTRAINT ledger_entry_event_key_key UNIQUE (event_key);"
        "ALTER TABLE ledger_entry ADD CONSTRAINT ledger_entry_writer_seq_key UNIQUE (writer, seq)"
    )


async def verified(log: WriterSettings, *, keys: bool = True) -> Report:
    return await verify_log(
        log.dsn, wrapper=FileKek(KEK) if keys else None, spool_dir=log.spool_dir, log=log.log
    )


@pytest.mark.asyncio
async def test_untouched_log_is_proven(log: WriterSettings) -> None:
    """An untouched log is proven, and what that does not prove is said, in both languages."""
    report = await verified(log)
    assert (report.exit_code, report.entries, report.writers) == (0, 8, 1)
    assert len(report.proven()) == 6
    english, chinese = report.render("en"), report.render("zh")
    assert "8 entries of 1 writer\n" in english
    assert "8 entries that no checkpoint covers yet" in english
    assert "尚未被检查点覆盖的 8 个条目" in chinese
    without = await verified(log, keys=False)
    assert without.exit_code == 0
    assert len(without.proven()) == 5
    assert "for want of the key-encryption key" in without.render()


def test_nothing_unsigned_is_nothing_to_doubt() -> None:
    """Where every entry is signed, no entry is said to be not proven for want of a checkpoint."""
    assert "no checkpoint covers" in "".join(Report(placed=3, signed=2).not_proven())
    assert "no checkpoint covers" not in "".join(Report(placed=3, signed=3).not_proven())


# What is changed -> the exit code with and without the key-encryption key.
TAMPERING = {
    **{f"header byte {place}": (flip("header", place), 2, 2) for place in (0, 30, 100, 250, 400)},
    **{
        f"{block} byte {place}": (flip(block, place), 2, 2)
        for block in ("core", "subject", "staff")
        for place in (0, 12, 20, 30)
    },
    "header byte in a version": (flip("header", 500), 2, 0),
    "header cut": ("UPDATE ledger_entry SET header = substr(header, 1, 99) WHERE seq = 4", 2, 2),
    "header empty": ("UPDATE ledger_entry SET header = '' WHERE seq = 4", 2, 2),
    "core empty": ("UPDATE ledger_entry SET core = '' WHERE seq = 4", 2, 2),
    "core gone": ("UPDATE ledger_entry SET core = NULL WHERE seq = 4", 4, 4),
    "subject gone": ("UPDATE ledger_entry SET subject = NULL WHERE seq = 4", 4, 4),
    "entry id": (flip("entry_id", 3), 2, 2),
    "writer": (flip("writer", 3), 2, 2),
    "type": ("UPDATE ledger_entry SET type = 'event' WHERE seq = 4", 2, 2),
    "seq": ("UPDATE ledger_entry SET seq = 9 WHERE seq = 4", 2, 2),
    "seq twice": ("UPDATE ledger_entry SET seq = 5 WHERE seq = 4", 2, 2),
    "observed": (
        "UPDATE ledger_entry SET observed = observed + interval '1 second' WHERE seq = 4",
        2,
        2,
    ),
    "observed by a millisecond": (
        "UPDATE ledger_entry SET observed = observed + interval '1 ms' WHERE seq = 4",
        2,
        2,
    ),
    "event key": (flip("event_key", 1), 2, 0),
    "event key of another": (
        "UPDATE ledger_entry SET event_key = 'e-1' WHERE seq = 4",
        2,
        2,
    ),
    "event key gone": ("UPDATE ledger_entry SET event_key = NULL WHERE seq = 4", 2, 0),
    "body hash": (flip("body_hash", 1), 2, 0),
    "body hash gone": ("UPDATE ledger_entry SET body_hash = NULL WHERE seq = 4", 2, 0),
    "first deleted": ("DELETE FROM ledger_entry WHERE seq = 1", 3, 3),
    "middle deleted": ("DELETE FROM ledger_entry WHERE seq = 4", 3, 3),
    "last deleted": ("DELETE FROM ledger_entry WHERE seq = 8", 3, 3),
    "all deleted": ("DELETE FROM ledger_entry", 3, 3),
    "middle deleted with its link": (
        (
            "DELETE FROM entry_subject WHERE entry_id = (SELECT entry_id FROM ledger_entry"
            " WHERE seq = 4); DELETE FROM ledger_entry WHERE seq = 4"
        ),
        3,
        3,
    ),
    "numbers swapped": (
        "UPDATE ledger_entry SET seq = CASE seq WHEN 3 THEN 4 ELSE 3 END WHERE seq IN (3, 4)",
        2,
        2,
    ),
    "cores swapped": (
        (
            "UPDATE ledger_entry a SET core = b.core FROM ledger_entry b"
            " WHERE a.seq IN (3, 4) AND b.seq = 7 - a.seq"
        ),
        2,
        2,
    ),
    "contents swapped": (
        (
            "UPDATE ledger_entry a SET header = b.header, core = b.core, subject = b.subject"
            " FROM ledger_entry b WHERE a.seq IN (3, 4) AND b.seq = 7 - a.seq"
        ),
        2,
        2,
    ),
    "entry copied": ("INSERT INTO ledger_entry SELECT * FROM ledger_entry WHERE seq = 4", 2, 2),
    "header of a new number": (
        (
            "INSERT INTO ledger_entry (entry_id, type, writer, seq, observed, header, core,"
            " subject, staff)"
            " SELECT '\\x00000000000000000000000000000000', type, writer, 9, observed,"
            " convert_to(replace(replace(convert_from(header, 'utf8'), '\"seq\":4', '\"seq\":9'),"
            " encode(entry_id, 'hex'), repeat('0', 32)), 'utf8'), core, subject, staff"
            " FROM ledger_entry WHERE seq = 4"
        ),
        2,
        2,
    ),
    "another entry under a used number": (
        (
            "INSERT INTO ledger_entry (entry_id, type, writer, seq, observed, header, core,"
            " subject, staff)"
            " SELECT '\\x00000000000000000000000000000000', type, writer, seq, observed,"
            " convert_to(replace(convert_from(header, 'utf8'), encode(entry_id, 'hex'),"
            " repeat('0', 32)), 'utf8'), core, subject, staff FROM ledger_entry WHERE seq = 4"
        ),
        2,
        2,
    ),
    "header and columns rewritten for another type": (
        (
            "UPDATE ledger_entry SET type = 'event',"
            " header = convert_to(replace(convert_from(header,"
            " 'utf8'), '\"decision\"', '\"event\"'), 'utf8') WHERE seq = 4"
        ),
        2,
        0,
    ),
    "entry rewritten for another id": (
        (
            "UPDATE ledger_entry"
            " SET entry_id = '\\x00000000000000000000000000000000', header ="
            " convert_to(replace(convert_from(header, 'utf8'), encode(entry_id, 'hex'),"
            " repeat('0', 32)), 'utf8') WHERE seq = 4"
        ),
        2,
        2,
    ),
    "month key": ("UPDATE ledger_key SET wrapped = set_byte(wrapped, 40, 0)", 2, 0),
    "month key renamed": ("UPDATE ledger_key SET name = name || '0'", 2, 0),
    "month keys gone": ("DELETE FROM ledger_key", 4, 0),
    "subject key": (
        "UPDATE subject_key SET wrapped = set_byte(wrapped, 40, get_byte(wrapped, 40) # 1)",
        2,
        0,
    ),
    "subject tag": ("UPDATE subject_key SET subject_tag = subject_tag || 'x'", 2, 0),
    "links swapped": (
        "UPDATE entry_subject SET key_id = (SELECT max(key_id) FROM subject_key)",
        2,
        0,
    ),
    "writer forgotten": ("DELETE FROM ledger_writer", 2, 2),
    "writer stopped later": ("UPDATE ledger_writer SET last_seq = 9", 3, 3),
    "writer stopped earlier": ("UPDATE ledger_writer SET last_seq = 7", 2, 2),
}


@pytest.mark.asyncio
@pytest.mark.parametrize(("statement", "with_keys", "without"), TAMPERING.values(), ids=TAMPERING)
async def test_tampering(
    log: WriterSettings, connection: Any, statement: str, with_keys: int, without: int
) -> None:
    """The change is found, with the key-encryption key and, where that is possible, without it."""
    await connection.execute(statement)
    report = await verified(log)
    assert report.exit_code == with_keys, report.render()
    assert (await verified(log, keys=False)).exit_code == without


@pytest.mark.asyncio
async def test_every_byte_of_a_row(log: WriterSettings, connection: Any) -> None:
    """A flip of any byte of header, blocks or tags of an entry is found."""
    row = await connection.fetchrow("SELECT * FROM ledger_entry WHERE seq = 4")
    for column in ("header", "core", "subject", "staff", "event_key", "body_hash"):
        put = "UPDATE ledger_entry SET $c = $1 WHERE seq = 4".replace("$c", column)
        for place in range(0, len(row[column]), 1 if column != "header" else 7):
            changed = bytearray(row[column])
            changed[place] ^= 0x10
            await connection.execute(put, bytes(changed))
            report = await verified(log)
            # A key of another name is missing, which is incomplete; all else is invalid.
            assert report.exit_code == 2 or report.found_codes == {"key_missing"}, (column, place)
        await connection.execute(put, row[column])
    assert (await verified(log)).exit_code == 0


@pytest.mark.asyncio
async def test_erased_subject_is_no_damage(log: WriterSettings, connection: Any) -> None:
    """A person's missing keys are counted and named as not proven."""
    await connection.execute("DELETE FROM subject_key WHERE subject_tag = 'user:1'")
    report = await verified(log)
    assert (report.exit_code, report.without_subject_key) == (0, 4)
    assert "4 subject blocks" in report.render()


@pytest.mark.asyncio
async def test_other_log_and_other_kek(log: WriterSettings) -> None:
    """A log of another name is not this one; a wrong key-encryption key is an error of its own."""
    report = await verify_log(log.dsn, log="another")
    assert report.exit_code == 2
    assert "log" in report.found_codes
    with pytest.raises(WrongKek, match="is loaded"):
        await verify_log(log.dsn, wrapper=FileKek(bytes(32)))


@pytest.mark.asyncio
async def test_damaged_spool_is_reported(log: WriterSettings, tmp_path: Path) -> None:
    """A spool file that cannot be read makes the log incomplete."""
    spool = Spool.create(log.spool_dir, "left", 10_000)
    spool.append(b"no group that anybody wrote")
    spool.release()
    report = await verified(log)
    assert report.exit_code == 4
    assert "spool_damaged" in report.found_codes


@pytest.mark.asyncio
async def test_verifies_beside_a_running_writer(
    writer: LedgerWriter, writer_settings: WriterSettings
) -> None:
    """Verification sees one moment: a writer at work gives no false alarm."""
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            await writer.append(draft(person=None), timeout_s=5)

    clients = [asyncio.create_task(client()) for _ in range(4)]
    for _ in range(5):
        report = await verify_log(writer_settings.dsn, wrapper=FileKek(KEK))
        assert report.exit_code == 0, report.render()
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*clients)
