"""How do counters come back from the ledger while the service goes on counting?

1. History up to a *cut* goes into shadows beside the series (`shadows.py`).
2. Each shadow takes the place of its series, followed by the live records after the cut.
3. The store is told that the series are complete.

Cut short anywhere and begun again it goes on where it was. Invariant: a series is called complete
only when it answers as if it had never been lost; whatever happens on the way (the store is lost
again, a worker counts under another catalog), it is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from features.catalog import Catalog
from features.problems import did_you_mean
from features.series_identity import Declared, declared_series
from features.tags import Tagger
from features.velocity.history_store import VelocityHistory
from service.completeness import LOOK_SECONDS, gap_of, known_series, now_ms
from service.history.job import Job, forget_job, load_job, save_job
from service.history.reader import LedgerHistory, Span
from service.history.shadows import (
    CALL_SECONDS,
    OTHER_CATALOG,
    Progress,
    RestoreError,
    Shadows,
    patiently,
)
from service.store_state import StoreStates, new_id

MERGES_AT_ONCE = 64
# A shadow lives for 24 h after its last record: so long may a job be gone on with, and take.
OLDEST_MS = 12 * 3_600_000
LONGEST_MS = 23 * 3_600_000

_LOST_AGAIN = "the velocity store was lost or cleared meanwhile: run `touchstone features rebuild`"


class Restored(NamedTuple):
    """What was restored; `keys`: series of single entities, of this run."""

    series: tuple[str, ...]
    events: int
    writes: int
    keys: int
    erased: int
    unreadable: int


class Restorer:
    """Restores series of one store from one ledger; one at a time."""

    def __init__(
        self,
        history: LedgerHistory,
        states: StoreStates,
        velocity: VelocityHistory,
        catalog: Catalog,
        tagger: Tagger,
        progress: Progress,
    ) -> None:
        self._history = history
        self._states = states
        self._velocity = velocity
        self._catalog = catalog
        self._progress = progress
        self._declared = declared_series(catalog)
        self._shadows = Shadows(history, states, velocity, catalog, tagger, progress)

    async def rebuild(self, budget_ms: int, settled: Callable[[], Awaitable[None]]) -> Restored:
        """Restore every series.

        `budget_ms`: the time that a request may take to become durable; `settled` returns when
        nothing waits in a spool. Raises `RestoreError`, `VelocityUnavailable`, `WrongKek` and what
        asyncpg raises; run again, it goes on.
        """
        return await self._restore("rebuild", tuple(sorted(self._declared)), budget_ms, settled)

    async def backfill(
        self, names: tuple[str, ...], budget_ms: int, settled: Callable[[], Awaitable[None]]
    ) -> Restored | None:
        """Restore some series, by default those that are incomplete; None: there are none."""
        for name in names:
            if name not in self._declared:
                hint = did_you_mean(name, self._declared)
                raise RestoreError(f"the catalog has no series `{name}`.{hint}")
        state = await self._states.read()
        if not state.is_whole:
            raise RestoreError(
                "the velocity store was lost or is new: run `touchstone features rebuild`"
            )
        chosen = tuple(sorted(set(names) or gap_of(self._declared, state).incomplete))
        if not chosen:
            return None
        return await self._restore("backfill", chosen, budget_ms, settled)

    async def _restore(
        self,
        kind: str,
        names: tuple[str, ...],
        budget_ms: int,
        settled: Callable[[], Awaitable[None]],
    ) -> Restored:
        job = await self._begun(kind, names)
        declared = {name: self._declared[name] for name in names}
        if not job.is_read:
            job = await self._shadows.fill(job, declared, budget_ms, settled)
        await self._check_erasures(job)
        keys = await self._merge(job, declared)
        await self._finish(job, declared)
        return Restored(names, job.events, job.writes, keys, job.erased, job.unreadable)

    async def _begun(self, kind: str, names: tuple[str, ...]) -> Job:
        """Return the job that was cut short, or a new one."""
        state = await self._states.read()
        job = await load_job(self._states)
        if (
            job is not None
            and job.is_same_work(kind, self._catalog.version, names)
            and all(marker == job.guard for marker in state.markers)
            and now_ms() - job.started_ms < OLDEST_MS
        ):
            self._progress.said(f"going on after {job.events} events")
            return job
        await forget_job(self._states)
        await self._velocity.drop_shadows()
        guard = state.life if state.is_whole and state.life is not None else f"job:{new_id()}"
        if not state.is_whole:
            await self._states.mark(guard)
        job = Job(
            kind, self._catalog.version, names, guard, not state.is_whole, now_ms(),
            erasures=await self._history.erasures(),
        )  # fmt: skip
        await save_job(self._states, job)
        return job

    async def _check_erasures(self, job: Job) -> None:
        """Begin anew when a person was erased meanwhile: the shadows may count what is no more.

        Whoever is erased from here on has the shadows deleted as well.
        """
        if await self._history.erasures() != job.erasures:
            await forget_job(self._states)
            await self._velocity.drop_shadows()
            raise RestoreError("a person was erased meanwhile: run it again")

    async def _merge(self, job: Job, declared: dict[str, Declared]) -> int:
        """Put every shadow in its place; a search may miss some, so until one finds none."""

        async def merge(kind: str, tag: str, name: str) -> None:
            plan = declared[name].plan
            await patiently(
                lambda: self._velocity.merge(kind, tag, plan, job.upto_ms, CALL_SECONDS)
            )

        keys, before = 0, -1
        while keys > before:
            before = keys
            some: list[tuple[str, str, str]] = []
            async for shadow in self._velocity.shadows():
                if shadow[2] in declared:
                    some.append(shadow)
                    keys += 1
                if len(some) == MERGES_AT_ONCE:
                    await asyncio.gather(*(merge(*one) for one in some))
                    some = []
                    self._progress.merged(keys)
            await asyncio.gather(*(merge(*one) for one in some))
            self._progress.merged(keys)
        return keys

    async def _finish(self, job: Job, declared: dict[str, Declared]) -> None:
        """Tell the store that the series are complete, if they are."""
        # From here on nobody may go on with the job: it would call complete what is not any more.
        await forget_job(self._states)
        async for page in self._history.pages(Span(job.upto_ms + 1, None)):
            if any(version != self._catalog.version for version in page.catalogs):
                raise RestoreError(OTHER_CATALOG)
        if now_ms() - job.started_ms > LONGEST_MS:
            raise RestoreError("this took longer than what it puts aside is kept for")
        known = known_series(declared, job.upto_ms)
        if job.takes_over:
            life = new_id()
            await self._states.start_life(life)
            await self._states.complete(known)
            is_whole = await self._states.pass_on(job.guard, life)
        else:
            is_whole = (await self._states.read()).is_whole
            if is_whole:
                await self._states.complete(known)
        if not is_whole:
            raise RestoreError(_LOST_AGAIN)
        if job.kind == "rebuild" and job.missed:
            await self._states.add_missed(-job.missed, now_ms())
        # A worker under another catalog takes it back within a second.
        await asyncio.sleep(1.5 * LOOK_SECONDS)
        state = await self._states.read()
        if not state.is_whole:
            raise RestoreError(_LOST_AGAIN)
        if gap_of(declared, state).incomplete:
            raise RestoreError(OTHER_CATALOG)
