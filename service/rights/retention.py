"""What is past its time, and how does it go?

Blocks go some days at a time, each in a transaction; keys of persons of whom nothing is left, and
month keys that open nothing any more, go after them. Invariant: headers, leaves and checkpoints
stay, so every proof holds; what is restricted stays until the restriction is lifted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from service.rights.periods import LONG_TYPES, Periods

DAY = timedelta(days=1)
# So many days are looked at together while they have no more than this many entries.
SPAN, MOST_AT_ONCE = timedelta(days=14), 20_000
# A spool may bring in entries of days that were looked at.
LOOK_BACK = timedelta(days=35)
# On this day of the month all days are looked at.
WHOLE_ON_DAY = 1
# From retiring keys to their end: workers look every half second.
FORGOTTEN_SECONDS = 1.5
TOMBSTONE_DAYS = 400
# Any number will do: one run at a time.
_LOCK = 0x726574656E74

_FIRST = "SELECT min(observed) FROM ledger_entry"
_MARK = "SELECT max(done_up_to) FROM retention_mark WHERE block = $1"
_SET_MARK = """
INSERT INTO retention_mark (block, done_up_to) VALUES ($1, $2)
ON CONFLICT (block) DO UPDATE SET done_up_to = greatest(retention_mark.done_up_to, $2)
"""
_DUE_SUBJECTS = """
SELECT e.entry_id FROM ledger_entry e
LEFT JOIN entry_subject s ON s.entry_id = e.entry_id
LEFT JOIN subject_key k ON k.key_id = s.key_id
WHERE e.observed >= $1 AND e.observed < $2
  AND (e.subject IS NOT NULL OR s.entry_id IS NOT NULL)
  AND (k.subject_tag IS NULL
       OR k.subject_tag NOT IN (SELECT subject_tag FROM restricted_subject))
"""
_CLEAR_SUBJECTS = """
UPDATE ledger_entry SET subject = NULL, event_key = NULL, body_hash = NULL
WHERE entry_id = ANY($1::bytea[])
"""
_UNLINK = "DELETE FROM entry_subject WHERE entry_id = ANY($1::bytea[])"
_DUE_CORES = """
SELECT e.entry_id FROM ledger_entry e
LEFT JOIN entry_subject s ON s.entry_id = e.entry_id
LEFT JOIN subject_key k ON k.key_id = s.key_id
WHERE e.observed >= $1 AND e.observed < $2 AND e.core IS NOT NULL
  AND (k.subject_tag IS NULL
       OR k.subject_tag NOT IN (SELECT subject_tag FROM restricted_subject))
"""
_DUE_STAFF = """
SELECT entry_id FROM ledger_entry WHERE observed >= $1 AND observed < $2 AND staff IS NOT NULL
  AND (type LIKE ANY($3::text[])) = $4
"""
_CLEAR = "UPDATE ledger_entry SET {block} = NULL WHERE entry_id = ANY($1::bytea[])"
# Events of restricted persons keep what was said of them.
_OLD_LABELS = """
FROM label l WHERE l.observed_at < $1 AND NOT EXISTS (
    SELECT FROM restricted_subject r
    JOIN subject_key k ON k.subject_tag = r.subject_tag
    JOIN entry_subject s ON s.key_id = k.key_id
    JOIN ledger_entry e ON e.entry_id = s.entry_id
    WHERE e.event_key = convert_to(l.event_tag, 'UTF8'))
"""
_LABELS = f"DELETE {_OLD_LABELS}"
_DUE_LABELS = f"SELECT count(*) {_OLD_LABELS}"
_IDLE_KEYS = """
SELECT key_id FROM subject_key k WHERE created_at < $1
  AND NOT EXISTS (SELECT FROM entry_subject s WHERE s.key_id = k.key_id)
"""
_RETIRE = """
INSERT INTO destroyed_key (key_id) SELECT unnest($1::bytea[]) ON CONFLICT (key_id) DO NOTHING
"""
_DESTROY = """
DELETE FROM subject_key k WHERE key_id = ANY($1::bytea[])
  AND NOT EXISTS (SELECT FROM entry_subject s WHERE s.key_id = k.key_id)
"""
# A key that sealed something in the last moment stays, and is no destroyed one.
_UNRETIRE = """
DELETE FROM destroyed_key d WHERE key_id = ANY($1::bytea[])
  AND EXISTS (SELECT FROM subject_key k WHERE k.key_id = d.key_id)
"""
_OLD_TOMBSTONES = "DELETE FROM destroyed_key WHERE retired_at < $1"
_MONTH_KEYS = "SELECT name FROM ledger_key ORDER BY name"
_STILL_SEALED = """
SELECT EXISTS (
    SELECT FROM ledger_entry WHERE observed >= $1 AND observed < $2 AND {block} IS NOT NULL)
"""
_OLD_HEADERS = "SELECT count(*) FROM ledger_entry WHERE observed < $1"


@dataclass(slots=True)
class Deleted:
    """How much a run deleted, or would delete. `old_headers` are counted only, never deleted."""

    subject_blocks: int = 0
    core_blocks: int = 0
    staff_blocks: int = 0
    labels: int = 0
    subject_keys: int = 0
    month_keys: int = 0
    old_headers: int = 0

    def counts(self) -> dict[str, int]:
        """Return the numbers by name."""
        return asdict(self)


class RetentionBusy(Exception):
    """Another run is under way."""

    code = "retention_busy"


async def run_retention(
    connection: Any,
    periods: Periods,
    header_days: int,
    now: datetime,
    *,
    dry_run: bool = False,
    said: Callable[[str], None] = lambda _: None,
) -> Deleted:
    """Delete what is past its time at `now`; with `dry_run` only count it.

    `connection` is an asyncpg connection of its own, in no transaction. Cut short anywhere and run
    again it goes on. Raises `RetentionBusy` and what asyncpg raises.
    """
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        raise RetentionBusy("another run is under way")
    try:
        run = _Run(connection, periods, now, dry_run, said)
        await run.blocks()
        await run.keys()
        await run.month_keys()
        run.deleted.old_headers = await connection.fetchval(
            _OLD_HEADERS, now - timedelta(days=header_days)
        )
        return run.deleted
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


class _Run:
    def __init__(
        self,
        connection: Any,
        periods: Periods,
        now: datetime,
        dry_run: bool,
        said: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._periods = periods
        self._now = now
        self._cutoffs: Mapping[str, datetime] = periods.cutoffs(now)
        self._dry_run = dry_run
        self._said = said
        self._first: datetime | None = None
        self.deleted = Deleted()

    async def blocks(self) -> None:
        """Delete blocks, and labels of events whose subject blocks are gone."""
        self._first = await self._connection.fetchval(_FIRST)
        if self._first is None:
            return
        like = [f"{prefix}%" for prefix in LONG_TYPES]
        self.deleted.subject_blocks = await self._days("subject", _DUE_SUBJECTS)
        self.deleted.core_blocks = await self._days("core", _DUE_CORES)
        self.deleted.staff_blocks = await self._days("staff", _DUE_STAFF, like, False)
        self.deleted.staff_blocks += await self._days("staff_long", _DUE_STAFF, like, True)
        cutoff = self._cutoffs["subject"]
        if self._dry_run:
            self.deleted.labels = await self._connection.fetchval(_DUE_LABELS, cutoff)
        else:
            self.deleted.labels = _count(await self._connection.execute(_LABELS, cutoff))

    async def keys(self) -> None:
        """Destroy the keys of persons of whom nothing is left."""
        rows = await self._connection.fetch(_IDLE_KEYS, self._cutoffs["subject"])
        key_ids = [row["key_id"] for row in rows]
        self.deleted.subject_keys = len(key_ids)
        if self._dry_run or not key_ids:
            return
        await self._connection.execute(_RETIRE, key_ids)
        await asyncio.sleep(FORGOTTEN_SECONDS)
        async with self._connection.transaction():
            self.deleted.subject_keys = _count(await self._connection.execute(_DESTROY, key_ids))
            await self._connection.execute(_UNRETIRE, key_ids)
        tombstones = self._now - timedelta(days=TOMBSTONE_DAYS)
        await self._connection.execute(_OLD_TOMBSTONES, tombstones)

    async def month_keys(self) -> None:
        """Shred the keys of whole months of which no block is left."""
        for row in await self._connection.fetch(_MONTH_KEYS):
            block, month, _ = row["name"].split("/")
            begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
            end = (begin + timedelta(days=32)).replace(day=1)
            if block not in ("core", "staff") or not self._is_over(block, end):
                continue
            sealed = _STILL_SEALED.format(block=block)
            if await self._connection.fetchval(sealed, begin, end) and not self._dry_run:
                continue
            self.deleted.month_keys += 1
            if not self._dry_run:
                await self._connection.execute(
                    "DELETE FROM ledger_key WHERE name = $1", row["name"]
                )

    def _is_over(self, block: str, end: datetime) -> bool:
        return end <= self._now - timedelta(days=self._periods.longest(block))

    async def _days(self, name: str, due: str, *more: object) -> int:
        """Clear one kind of block up to its cutoff; return how many."""
        assert self._first is not None
        block, cutoff, total = name.removesuffix("_long"), self._cutoffs[name], 0
        marked = await self._connection.fetchval(_MARK, name)
        day = self._first.replace(hour=0, minute=0, second=0, microsecond=0)
        if marked is not None and self._now.day != WHOLE_ON_DAY:
            day = max(day, marked - LOOK_BACK)
        span = SPAN
        while day < cutoff:
            end = min(day + span, cutoff)
            rows = await self._connection.fetch(due, day, end, *more)
            if rows and span > DAY and len(rows) > MOST_AT_ONCE:
                span = DAY  # these days have much
                continue
            if rows and not self._dry_run:
                async with self._connection.transaction():
                    await self._clear(block, [row["entry_id"] for row in rows])
                    await self._connection.execute(_SET_MARK, name, end)
            if rows:
                total += len(rows)
                self._said(f"{name} before {end:%Y-%m-%d}: {len(rows)}")
            day = end
        if not self._dry_run:
            await self._connection.execute(_SET_MARK, name, cutoff)
        return total

    async def _clear(self, block: str, entry_ids: list[bytes]) -> None:
        if block == "subject":
            await self._connection.execute(_UNLINK, entry_ids)
            await self._connection.execute(_CLEAR_SUBJECTS, entry_ids)
        else:
            await self._connection.execute(_CLEAR.format(block=block), entry_ids)


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
