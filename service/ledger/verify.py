"""Is the log whole and unchanged, as far as that can be shown from the database itself?

Reads one consistent snapshot, writes nothing, needs no writer to stop. Headers and hashes are
checked without any key; with the key-encryption key every block is opened in its place too. What
this cannot show is part of the report (`report.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from service.ledger.entry import BLOCKS, Framed, Header, claims_of, parse_header, unframed
from service.ledger.errors import BadHeader, SealBroken, WrongKek
from service.ledger.keys import Keyring, KeyWrapper
from service.ledger.placed import PlacedEntries, Trusted
from service.ledger.report import Report
from service.ledger.seal import open_sealed
from service.ledger.spooled import spools
from service.ledger.table import owners_of_event_keys

_ENTRIES = """
SELECT e.*, s.key_id, k.subject_tag, k.wrapped
FROM ledger_entry e
LEFT JOIN entry_subject s ON s.entry_id = e.entry_id
LEFT JOIN subject_key k ON k.key_id = s.key_id
ORDER BY e.writer, e.seq
"""
_WRITERS = "SELECT writer, last_seq FROM ledger_writer"
_MONTH_KEYS = "SELECT name, wrapped FROM ledger_key"
_REPEATS = """
SELECT encode({0}, 'hex') AS value FROM ledger_entry WHERE {0} IS NOT NULL
GROUP BY {0} HAVING count(*) > 1
"""
_ORPHANS = """
SELECT s.entry_id FROM entry_subject s LEFT JOIN ledger_entry e ON e.entry_id = s.entry_id
WHERE e.entry_id IS NULL
"""


IsPast = Callable[[str, str, datetime], bool]


async def verify_log(
    dsn: str,
    *,
    wrapper: KeyWrapper | None = None,
    spool_dir: Path | None = None,
    log: str | None = None,
    trusted: Trusted | None = None,
    is_past: IsPast = lambda _block, _type, _time: False,
) -> Report:
    """Verify a log. With `wrapper` blocks are opened, with `spool_dir` the spool is looked at.

    `log` is the name that every header must have; unset, the first header's. `is_past` says whether
    a block of an entry of this type and time may be deleted by now. Raises `WrongKek` when the keys
    belong to another key-encryption key, `NoteInvalid` when `trusted.since` is no checkpoint that
    holds, and what asyncpg raises.
    """
    trusted = trusted or Trusted()
    report = Report(
        with_keys=wrapper is not None,
        with_spool=spool_dir is not None,
        with_memory=trusted.memory is not None,
        with_since=trusted.since is not None,
    )
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await _Verifier(connection, report, wrapper, log, is_past).run()
            await PlacedEntries(connection, report, trusted).run()
            if spool_dir is not None:
                await _look_at_spool(connection, spool_dir, report)
    finally:
        await connection.close()
    return report


class _Verifier:
    """One pass over the table, in the order of writers and numbers."""

    def __init__(
        self,
        connection: Any,
        report: Report,
        wrapper: KeyWrapper | None,
        log: str | None,
        is_past: IsPast,
    ) -> None:
        self._connection = connection
        self._report = report
        self._ring = None if wrapper is None else Keyring(wrapper)
        self._log = log
        self._is_past = is_past
        self._month_keys: dict[str, bytes] = {}
        self._last_seq: dict[bytes, int] = {}
        # Sealed event keys of entries that have none in the table: who has them is asked last.
        self._without_event_key: list[tuple[bytes, bytes]] = []

    async def run(self) -> None:
        """Fill the report."""
        if self._ring is not None:
            await self._unwrap_month_keys(self._ring)
        async for row in self._connection.cursor(_ENTRIES, prefetch=500):
            self._report.entries += 1
            self._number(row)
            self._entry(row)
        await self._writers()
        for column in ("entry_id", "event_key"):
            for found in await self._connection.fetch(_REPEATS.format(column)):
                self._report.add("invalid", "repeat", column, found["value"])
        for found in await self._connection.fetch(_ORPHANS):
            self._report.add("gap", "orphan", f"entry {found['entry_id'].hex()}")
        await self._superseded()

    def _number(self, row: Any) -> None:
        writer, seq = row["writer"], row["seq"]
        last = self._last_seq.get(writer, 0)
        where = f"writer {writer.hex()}"
        if seq == last:
            self._report.add("invalid", "repeat", where, seq)
        elif seq > last + 1:
            self._report.add("gap", "hole", where, last + 1, seq - 1)
        self._last_seq[writer] = seq

    def _entry(self, row: Any) -> None:
        where = f"entry {row['entry_id'].hex()}"
        try:
            header = parse_header(row["header"])
        except BadHeader as error:
            self._report.add("invalid", "header", where, error)
            return
        for column, said in (
            ("entry_id", header.entry_id),
            ("type", header.type),
            ("writer", header.writer),
            ("seq", header.seq),
            ("observed", header.time),
        ):
            if row[column] != said:
                self._report.add("invalid", "column", where, column)
        self._log = self._log or header.log
        if header.log != self._log:
            self._report.add("invalid", "log", where, header.log)
        for block in BLOCKS:
            self._block_hash(where, header, block, row)
        if self._ring is not None:
            self._open(self._ring, where, header, row)

    def _block_hash(self, where: str, header: Header, block: str, row: Any) -> None:
        named, sealed = header.blocks.get(block), row[block]
        if sealed is None and named is not None:
            if self._is_past(block, header.type, header.time):
                self._report.retained += 1
            elif block == "subject" and row["key_id"] is None:
                self._report.without_subject_key += 1  # erased, with its link
            else:
                self._report.add("incomplete", "block_missing", where, block)
        elif sealed is not None and named is None:
            self._report.add("invalid", "block_extra", where, block)
        elif sealed is not None and named and hashlib.sha256(sealed).hexdigest() != named[1]:
            self._report.add("invalid", "block_hash", where, block)

    def _open(self, ring: Keyring, where: str, header: Header, row: Any) -> None:
        carrier = "subject" if "subject" in header.blocks else "core"
        for block, (key_name, _) in header.blocks.items():
            if row[block] is None:
                continue
            if block == "subject":
                key = self._subject_key(ring, where, row)
            else:
                key = self._month_keys.get(str(key_name))
                if key is None and self._is_past(block, header.type, header.time):
                    self._report.retained += 1
                elif key is None:
                    self._report.add("incomplete", "key_missing", where, key_name)
            if key is None:
                continue
            try:
                plaintext = open_sealed(key, str(self._log), row["entry_id"], block, row[block])
                opened = unframed(plaintext)
            except SealBroken as error:
                self._report.add("invalid", "block_sealed", where, block, error)
                continue
            if block == carrier:
                self._tags(where, row, opened)
            if block == "core" and opened.claims != claims_of(row["header"]):
                self._report.add("invalid", "claims", where)

    def _tags(self, where: str, row: Any, opened: Framed) -> None:
        if row["event_key"] is None and opened.event_key is not None:
            self._without_event_key.append((row["entry_id"], opened.event_key))
        elif row["event_key"] != opened.event_key:
            self._report.add("invalid", "tags", where)
            return
        if row["body_hash"] != opened.body_hash:
            self._report.add("invalid", "tags", where)

    def _subject_key(self, ring: Keyring, where: str, row: Any) -> bytes | None:
        if row["wrapped"] is None:
            self._report.without_subject_key += 1
            return None
        try:
            return ring.open_subject_key(row["key_id"], row["subject_tag"], row["wrapped"])
        except WrongKek as error:
            if not self._month_keys:
                raise  # nothing opened so far: it is not this key that is wrong
            self._report.add("invalid", "key_broken", where, error)
            return None
        except SealBroken as error:
            self._report.add("invalid", "key_broken", where, error)
            return None

    async def _unwrap_month_keys(self, ring: Keyring) -> None:
        wrong: list[tuple[str, WrongKek]] = []
        for row in await self._connection.fetch(_MONTH_KEYS):
            try:
                self._month_keys[row["name"]] = ring.open_month_key(row["name"], row["wrapped"])
            except SealBroken as error:
                self._report.add("invalid", "key_broken", f"key {row['name']}", error)
            except WrongKek as error:
                wrong.append((row["name"], error))
        for name, trouble in wrong:
            if not self._month_keys:
                raise trouble
            self._report.add("invalid", "key_broken", f"key {name}", trouble)

    async def _writers(self) -> None:
        self._report.writers = len(self._last_seq)
        started = {row["writer"]: row["last_seq"] for row in await self._connection.fetch(_WRITERS)}
        for writer in self._last_seq.keys() - started.keys():
            self._report.add("invalid", "writer_unknown", f"writer {writer.hex()}")
        for writer, stopped_at in started.items():
            where, last = f"writer {writer.hex()}", self._last_seq.get(writer, 0)
            if stopped_at is None:
                self._report.open_writers += 1
            if last == 0:
                # Its row was written in the transaction of its first entries.
                self._report.add("gap", "writer_empty", where)
            elif stopped_at is not None and stopped_at != last:
                if last < stopped_at:
                    self._report.add("gap", "tail", where, stopped_at, last)
                else:
                    self._report.add("invalid", "tail", where, stopped_at, last)

    async def _superseded(self) -> None:
        """Spooled entries whose event another entry has keep no event key; nobody else may."""
        for at in range(0, len(self._without_event_key), 1000):
            some = self._without_event_key[at : at + 1000]
            owners = await owners_of_event_keys(self._connection, [key for _, key in some])
            for entry_id, event_key in some:
                if event_key in owners:
                    self._report.superseded += 1
                else:
                    where = f"entry {entry_id.hex()}"
                    self._report.add("invalid", "event_key_lost", where)


async def _look_at_spool(connection: Any, directory: Path, report: Report) -> None:
    for spool in await spools(connection, directory):
        if spool.waiting:
            report.add("incomplete", "spool_waits", spool.path.name, spool.waiting)
        if spool.damaged:
            report.add("incomplete", "spool_damaged", spool.path.name, spool.damaged)
