"""Does the velocity store know everything that it was told, and of which series does it not?

A background look at the store's own state, once a second and at once after a lost connection;
decisions read what it found, which costs them nothing. Invariant: knowledge is offered only while
the store is known to be the one that counted all along; when nobody knows, it is not.

States: *complete*; *series incomplete* (new or changed ones, until `touchstone features backfill`);
*lost* (the store is new or was cleared while the ledger has entries, until `touchstone features
rebuild`); *unknown* (the store has not answered since this process began, or since it was gone).
With an empty ledger there is nothing to know: everything is complete at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import asyncpg

from features.catalog import Catalog
from features.series_identity import Declared, declared_series
from features.velocity.connect import Connection
from features.velocity.connection import ValkeyConnection
from features.velocity.store import VelocityUnavailable
from service.background import Background
from service.heartbeat import Heartbeat
from service.history.reader import Span, count_entries, has_events
from service.ledger.drain import AWAY
from service.store_state import Known, StoreState, StoreStates

log = logging.getLogger(__name__)

COMPLETE = "complete"
LOOK_SECONDS = 1.0
# After a loss of the connection knowledge is withheld until the next look, so it comes soon.
DOUBT_SECONDS = 0.05
LEDGER_SECONDS = 1.0
# A store that forgot more than this (a snapshot of some time ago) counts as lost; less is missed.
FORGIVEN_MS = 60_000
COUNT_SECONDS = 30.0
# After these the server on the other side may be another one, or the same without its memory.
_DOUBTFUL = frozenset({"lost", "refused", "stalled", "loading", "moved", "readonly"})


class Gap(NamedTuple):
    """What must not be offered to rules and model.

    `incomplete`: names of series; `withheld`: the facts that may not be offered because of them
    (windows and `..._is_new`). Series are recorded in any case.
    """

    everything_lost: bool
    incomplete: frozenset[str]
    withheld: frozenset[str]


NO_GAP = Gap(everything_lost=False, incomplete=frozenset(), withheld=frozenset())
ALL_GONE = Gap(everything_lost=True, incomplete=frozenset(), withheld=frozenset())


class Completeness:
    """Watches one store. Use as an async context manager; the first look is over on entry."""

    def __init__(self, connection: Connection, catalog: Catalog, pool: Any) -> None:
        """`pool` is an asyncpg pool of the ledger's database."""
        self._states = StoreStates(connection)
        # A cluster that lost one server goes on knowing what the others have.
        self._is_one_server = isinstance(connection, ValkeyConnection)
        self._heartbeat = Heartbeat(self._states, is_one_server=self._is_one_server)
        self._catalog = catalog
        self._declared = declared_series(catalog)
        self._state: StoreState | None = None
        self._pool = pool
        self._gap = ALL_GONE
        self._said = COMPLETE
        self._is_ledger_empty = True
        self._missed = 0
        self._in_doubt = asyncio.Event()
        self._watching = Background("completeness")

    def gaps(self) -> Gap:
        """Return what must not be offered now; an attribute read."""
        return self._gap

    @property
    def state(self) -> str:
        """What is the matter, in one line."""
        if self._gap is ALL_GONE and self._said == COMPLETE:
            return "unknown: the store has not answered since it was lost"
        return self._said

    def declare(self, catalog: Catalog) -> None:
        """Watch the series of this catalog instead; call it before decisions use the catalog.

        Series that the store does not know are withheld at once, until they are filled.
        """
        if catalog is self._catalog:
            return
        self._catalog = catalog
        self._declared = declared = declared_series(catalog)
        if self._gap is not ALL_GONE and self._state is not None:
            self._gap = gap_of(declared, self._state)
        self._in_doubt.set()

    def velocity_failed(self, error: VelocityUnavailable) -> None:
        """Note an event that is recorded but perhaps not counted: the store did not answer."""
        self._missed += 1
        if error.reason in _DOUBTFUL:
            if self._is_one_server:
                self._gap = ALL_GONE
            self._in_doubt.set()

    async def __aenter__(self) -> Self:
        await self._look()
        self._watching.start(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._watching.end()

    async def _watch(self) -> None:
        while True:
            if self._in_doubt.is_set():
                await asyncio.sleep(DOUBT_SECONDS)
            else:
                # Not wait_for: before Python 3.12 it can swallow the cancellation that ends us.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._in_doubt.wait()
            try:
                await self._look()
            except Exception:  # whatever it is, the next look may see more
                log.exception("the completeness of the velocity store cannot be told")

    async def _look(self) -> None:
        """Look once; without an answer everything stays as it was."""
        self._in_doubt.clear()
        try:
            state = await self._states.read()
            if gap_of(self._declared, state) is not NO_GAP:
                if await self._is_empty():
                    await self._states.begin(known_series(self._declared, now_ms()))
                # Another worker may have begun between the look at the store and at the ledger.
                state = await self._states.read()
            state = await self._corrected(state)
        except VelocityUnavailable:
            if self._gap is ALL_GONE:
                self._in_doubt.set()
            return
        self._state = state
        self._gap = gap = gap_of(self._declared, state)
        self._say(gap)

    async def _corrected(self, state: StoreState) -> StoreState:
        """Take back what the store says of series that this process records in another way."""
        if not state.is_whole:
            self._heartbeat.forget()
            return state
        forgot_ms = await self._heartbeat.beat(now_ms())
        if forgot_ms is not None:
            await self._note_forgotten(forgot_ms)
            return await self._states.read()
        other = [
            name
            for name, known in state.series.items()
            if (mine := self._declared.get(name)) is None or mine.definition != known.definition
        ]
        shorter = {
            name: known._replace(kept_ms=mine.plan.retention_ms)
            for name, known in state.series.items()
            if (mine := self._declared.get(name)) is not None
            and mine.definition == known.definition
            and mine.plan.retention_ms < known.kept_ms
        }
        await self._states.incomplete(other)
        await self._states.complete(shorter)
        if self._missed:
            missed, self._missed = self._missed, 0
            await self._states.add_missed(missed, now_ms())
        kept = {name: known for name, known in state.series.items() if name not in other}
        return state._replace(series={**kept, **shorter})

    async def _note_forgotten(self, since_ms: int) -> None:
        """Say what a store lacks that went back in time."""
        log.error("the velocity store forgot what it was told since %d (Unix ms)", since_ms)
        if now_ms() - since_ms > FORGIVEN_MS:
            await self._states.end_life()
            return
        count = 1
        with contextlib.suppress(asyncpg.PostgresError, *AWAY):
            async with self._pool.acquire(timeout=LEDGER_SECONDS) as connection:
                async with asyncio.timeout(COUNT_SECONDS):
                    count = await count_entries(connection, Span(since_ms, None))
        await self._states.add_missed(max(count, 1), since_ms)

    async def _is_empty(self) -> bool:
        """Say whether the ledger has no event; once it has one, it is not asked again."""
        if self._is_ledger_empty:
            try:
                async with self._pool.acquire(timeout=LEDGER_SECONDS) as connection:
                    self._is_ledger_empty = not await has_events(connection)
            except (asyncpg.PostgresError, *AWAY):
                return False  # nobody knows: nothing is offered until somebody does
        return self._is_ledger_empty

    def _say(self, gap: Gap) -> None:
        """Log a change of state, once."""
        if gap.everything_lost:
            said = "lost: run `touchstone features rebuild`"
        elif gap.incomplete:
            names = ", ".join(sorted(gap.incomplete))
            said = f"incomplete until `touchstone features backfill`: {names}"
        else:
            said = COMPLETE
        if said != self._said:
            log.warning("velocity store: %s", said)
        self._said = said


def gap_of(declared: Mapping[str, Declared], state: StoreState) -> Gap:
    """Return what must not be offered of the declared series."""
    if not state.is_whole:
        return ALL_GONE
    incomplete, withheld = set(), set()
    for name, series in declared.items():
        known = state.series.get(name)
        kept_ms = known.kept_ms if known and known.definition == series.definition else 0
        missing = {feature for feature, past_ms in series.features if past_ms > kept_ms}
        if missing:
            incomplete.add(name)
            withheld |= missing
    return Gap(False, frozenset(incomplete), frozenset(withheld)) if incomplete else NO_GAP


def known_series(declared: Mapping[str, Declared], since_ms: int) -> dict[str, Known]:
    """Return what the store is to say of series that are complete."""
    return {
        name: Known(series.definition, since_ms, series.plan.retention_ms)
        for name, series in declared.items()
    }


def now_ms() -> int:
    """Return the time as decisions see it, Unix milliseconds."""
    return time.time_ns() // 1_000_000
