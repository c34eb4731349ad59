"""In which order do entries stand in the tree, and who says so?

One sequencer leads: it holds an advisory lock, and its term stands in `ledger_tree`. Each round is
one transaction that first locks that row under its term, then takes what is queued, reads the
stored headers back and adds them (`rounds.py`). Invariant: the tree only grows, by one leader at a
time; a leader that was replaced finds another term and changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import asyncpg

from service.ledger.drain import AWAY, at_most
from service.ledger.strict import check_durability
from service.ledger.tree.errors import TreeBroken
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.proofs import aligned
from service.ledger.tree.stored import StoredTree
from service.sequencer.errors import ForeignTree, NotLeader
from service.sequencer.rounds import Round, take
from service.sequencer.session import LOCK, opened

log = logging.getLogger(__name__)

# A checkpoint is due within 10 s; one look into an empty queue costs 0.2 ms.
POLL_SECONDS = 0.5
# Rows that left the queue still lie in its file until it is vacuumed; autovacuum comes once a
# minute, when they could be 300,000.
VACUUM_ROWS = 20_000
# A round takes half a second, the first one over an old database some seconds. A server that needs
# this long hangs, or is out of reach without a word: then a fresh connection may fare better.
ROUND_SECONDS = 120.0
GOODBYE_SECONDS = 2.0

_TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
_FIRST = "INSERT INTO ledger_tree (origin) VALUES ($1) ON CONFLICT DO NOTHING"
_NEXT_TERM = "UPDATE ledger_tree SET term = term + 1 RETURNING origin, term, size, peaks"
_HOLD = "SELECT size, peaks FROM ledger_tree WHERE term = $1 FOR UPDATE"
_GROW = "UPDATE ledger_tree SET size = $3, peaks = $4 WHERE term = $1 AND size = $2"
_WAITS = "SELECT EXISTS (SELECT FROM ledger_queue)"
_VACUUM = "VACUUM (SKIP_LOCKED) ledger_queue"


class Sequencer:
    """The leader. Made by `start`; for one event loop."""

    def __init__(self, connection: Any, term: int, peaks: Peaks, round_seconds: float) -> None:
        self._connection = connection
        self._round_seconds = round_seconds
        self._peaks = peaks
        self._last_placed: dict[bytes, int] = {}
        self._is_behind = False
        self._unvacuumed = 0
        self.term = term
        # Entries that were in the queue and nowhere else: deleted before they were placed.
        self.lost = 0

    @classmethod
    async def start(
        cls, dsn: str, log_name: str, *, round_seconds: float = ROUND_SECONDS
    ) -> Sequencer:
        """Become the leader of the log, and take the next term.

        A connection that takes longer than `round_seconds` for anything is given up. Raises
        `NotLeader` while another leads, `ForeignTree` when the tree is of another log, `TreeBroken`
        when its peaks are not those of its leaves, `NotDurable`, and what asyncpg raises.
        """
        connection = await opened(dsn)
        try:
            async with at_most(connection, round_seconds):
                term, peaks = await _taken_over(connection, log_name)
        except BaseException:
            connection.terminate()
            raise
        return cls(connection, term, peaks, round_seconds)

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self._peaks.size

    async def integrate(self) -> int:
        """Place what is queued, one transaction a round; return how many entries were placed.

        A long queue takes several calls; 0 says that nothing waits. Raises `NotLeader` when another
        sequencer took over, `TreeBroken` when somebody else changed the tree, one of `AWAY` when
        the server hangs, and what asyncpg raises. After any of these only `close` makes sense:
        whether the round was committed is then not known to this object.
        """
        async with at_most(self._connection, self._round_seconds):
            while await self._connection.fetchval(_WAITS):
                done = await self._round()
                if done.placed or not self._is_behind:
                    return done.placed
        self._is_behind = False  # a full round may have been the last one
        return 0

    async def run(self) -> None:
        """Integrate for ever: twice a second, a long queue without a pause; raises as that."""
        while True:
            await self.integrate()
            if not self._is_behind:
                await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Lead no longer."""
        with contextlib.suppress(asyncpg.PostgresError, *AWAY):
            await self._connection.close(timeout=GOODBYE_SECONDS)
        self._connection.terminate()

    async def _round(self) -> Round:
        async with self._connection.transaction():
            await self._check_still_leads()
            done = await take(self._connection, self._peaks, self._last_placed)
            grown = await self._connection.execute(
                _GROW, self.term, self._peaks.size, done.peaks.size, done.peaks.to_bytes()
            )
            if grown != "UPDATE 1":
                raise NotLeader("the tree has another term or size")
        self._peaks, self._is_behind = done.peaks, done.is_full
        self._last_placed.update(done.last_placed)
        self._say_what_was_odd(done)
        self._unvacuumed += done.taken
        if self._unvacuumed >= VACUUM_ROWS:
            await self._connection.execute(_VACUUM)
            self._unvacuumed = 0
        return done

    async def _check_still_leads(self) -> None:
        row = await self._connection.fetchrow(_HOLD, self.term)
        if row is None:
            raise NotLeader("another sequencer took over")
        if (row["size"], row["peaks"]) != (self._peaks.size, self._peaks.to_bytes()):
            raise TreeBroken("the tree was changed by something else than its leader")

    def _say_what_was_odd(self, done: Round) -> None:
        for entry_id in done.lost:
            log.error("entry %s was deleted before it was placed in the tree", entry_id.hex())
        for writer, first, last in done.holes:
            log.error("numbers %d to %d of writer %s are missing", first, last, writer.hex())
        for entry_id in done.late:
            log.error("entry %s was placed behind one with a higher number", entry_id.hex())
        self.lost += len(done.lost)


async def _taken_over(connection: Any, log_name: str) -> tuple[int, Peaks]:
    """Take the lock and the next term; return it with the tree as it stands."""
    await check_durability(connection)
    if not await connection.fetchval(_TRY_LOCK, LOCK):
        raise NotLeader("another sequencer leads")
    await connection.execute(_FIRST, log_name)
    row = await connection.fetchrow(_NEXT_TERM)
    if row["origin"] != log_name and not row["origin"].startswith(f"{log_name}/"):
        raise ForeignTree(f"the database holds the tree of the log {row['origin']}")
    peaks = Peaks.from_bytes(row["size"], row["peaks"])
    await _check_peaks(connection, peaks)
    return row["term"], peaks


async def _check_peaks(connection: Any, peaks: Peaks) -> None:
    """Raise `TreeBroken` unless the stored leaves and nodes lead to these peaks."""
    places = list(aligned(0, peaks.size))
    stored = await StoredTree(connection).subtrees(places)
    if [stored[place] for place in places] != list(peaks.hashes):
        raise TreeBroken("the peaks of the tree are not those of its leaves")
