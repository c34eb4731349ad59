"""How does history come into the shadows of the series, up to a cut?

In passes, each up to a later cut, until one holds only events that were counted under the catalog
of today. Invariant: when it is over, every series is its shadow and the live records after the cut,
and nothing else: what was counted under another definition is deleted before the last cut, also
where the present definition has nothing to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from features.catalog import Catalog
from features.observe import pair_tag
from features.replay import writes_of
from features.series_identity import Declared
from features.tags import Tagger
from features.velocity.history_store import VelocityHistory
from features.velocity.store import VelocityUnavailable
from service.completeness import now_ms
from service.history.cut import choose_cut
from service.history.job import Job, forget_job, save_job
from service.history.reader import LedgerHistory, Page, Span
from service.store_state import StoreStates

CALL_SECONDS = 10.0
PATIENCE_SECONDS = 30.0  # a store that is away for longer ends the job, which may be gone on with
PASSES = 4  # the first has history, the second what came meanwhile; more: it does not end
SLACK_MS = 3_600_000

OTHER_CATALOG = (
    "a running service counts under another catalog than this command: "
    "restart it with this catalog, then run this again"
)


class RestoreError(Exception):
    """The series are not complete; the text says why and what to do."""

    code = "restore_failed"


class Progress(Protocol):
    """Is told how far a restoration came."""

    def said(self, text: str) -> None:
        """Something happened that people should know."""
        ...

    def read(self, events: int, of: int) -> None:
        """So many events of a pass are in the shadows; `of` counts entries, also skipped ones."""
        ...

    def merged(self, series: int) -> None:
        """So many shadows took the place of their series."""
        ...


class Shadows:
    """Brings the history of some series into their shadows."""

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
        self._tagger = tagger
        self._progress = progress

    async def fill(
        self,
        job: Job,
        declared: Mapping[str, Declared],
        budget_ms: int,
        settled: Callable[[], Awaitable[None]],
    ) -> Job:
        """Bring in all history; return the job with its cut.

        `settled` returns when nothing waits in a spool. Raises `RestoreError` and what the parts
        raise; then `fill` may be called again with the job as it was saved.
        """
        state = await self._states.read()
        outdated = {
            name: series
            for name, series in declared.items()
            if (known := state.series.get(name)) is None or known.definition != series.definition
        }
        since_ms = {name: _since(series, job.started_ms) for name, series in declared.items()}
        # Whatever live records lack was lost before the job began, so the cut comes after that; and
        # whoever cut the last try short may have deleted something just before.
        floor_ms = now_ms() if job.upto_ms and outdated else max(job.upto_ms, job.started_ms)
        for _ in range(PASSES):
            await settled()
            missed = (await self._states.read()).missed
            cut_ms = await choose_cut(self._history, budget_ms, floor_ms)
            job = job._replace(upto_ms=cut_ms, missed=missed)
            await save_job(self._states, job)
            job, foreign = await self._pass(job, since_ms, outdated)
            if not foreign:
                job = job._replace(is_read=True)
                await save_job(self._states, job)
                return job
            floor_ms = now_ms()
        await forget_job(self._states)
        raise RestoreError(OTHER_CATALOG)

    async def _pass(
        self, job: Job, since_ms: Mapping[str, int], outdated: Mapping[str, Declared]
    ) -> tuple[Job, int]:
        """Append history up to a cut; say how many of its events another catalog had counted."""
        since = min(since_ms.values(), default=0)
        if job.mark is not None:
            since = max(since, job.mark.place.observed_ms)
        span = Span(since, job.upto_ms)
        total, done, foreign = await self._history.count(span), 0, 0
        async for page in self._history.pages(span, job.mark):
            others = [
                event.tags
                for event, version in zip(page.events, page.catalogs, strict=True)
                if version != self._catalog.version
            ]
            foreign += len(others)
            await self._delete(others, outdated)
            job = await self._append(job, page, since_ms)
            done += len(page.events)
            self._progress.read(done, total)
        return job, foreign

    async def _delete(
        self, others: list[Mapping[str, str]], outdated: Mapping[str, Declared]
    ) -> None:
        keys = {
            f"ts:{{{kind}:{tag}}}:{name}"
            for tags in others
            for name, series in outdated.items()
            if (tag := _tag(kind := series.plan.entity, tags)) is not None
        }
        if keys:
            await patiently(lambda: self._states.delete(keys))

    async def _append(self, job: Job, page: Page, since_ms: Mapping[str, int]) -> Job:
        writes = [
            write
            for event in page.events
            for write in writes_of(event, self._catalog, self._tagger, since_ms)
        ]
        await patiently(lambda: self._velocity.append(writes, CALL_SECONDS))
        skipped = self._history.skipped
        after = job._replace(
            mark=page.mark,
            events=job.events + len(page.events),
            writes=job.writes + len(writes),
            erased=max(job.erased, skipped.erased),
            unreadable=max(job.unreadable, skipped.unreadable),
        )
        await patiently(lambda: save_job(self._states, after))
        return after


async def patiently(step: Callable[[], Awaitable[object]]) -> None:
    """Do a step that may be repeated, again and again while the store is away."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        try:
            await step()
        except VelocityUnavailable:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(0.25)
        else:
            return


def _since(series: Declared, started_ms: int) -> int:
    """Return the oldest time that a series can be asked about; of those seen first: any."""
    if series.plan.measure == "first_seen":
        return 0
    return max(0, started_ms - series.plan.retention_ms - SLACK_MS)


def _tag(kind: str, tags: Mapping[str, str]) -> str | None:
    one, _, other = kind.partition("+")
    return pair_tag((one, other), tags) if other else tags.get(one)
