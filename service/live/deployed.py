"""Does this worker decide with what the database says is to run?

Follows the deployments: reads the sets that run, loads them beside the traffic, and hands the
decider another brain, whole. Invariants: a set that cannot be used changes nothing that decides; a
stop waits for no loading; what is wrong is told by `problems`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

import asyncpg

from features.catalog import CatalogError
from features.errors import FeatureError
from rules.errors import ContentError, RulesError
from rules.files import RuleSetFiles
from rules.ruling import Ruling
from service.actions import Actions, StoreAway
from service.background import Background
from service.brain import Brain, Parts, Rollout
from service.errors import Refused
from service.ledger.drain import AWAY
from service.live.cache import DeployedCache
from service.live.loader import Loader
from service.live.wanted import (
    Wanted,
    ensure_deployed,
    read_likely,
    read_lives,
    read_wanted,
)
from service.rule_sets.store import read_files

log = logging.getLogger(__name__)

CHANNEL = "touchstone_rules"
CONNECT_SECONDS = 5.0
# What could not be read or loaded is tried again at this pace, though it will hardly change.
RETRY_SECONDS = 10.0
# So many of the latest versions that were live, and of the approved ones, are loaded beforehand.
LIKELY = 3
# A start looks so far back for a set that this release can use.
EARLIER_LIVES = 10
_SHOWN = 16


class _Order(NamedTuple):
    """What is to run with the sets that could be read, and why the others could not."""

    wanted: Wanted
    sets: Mapping[str, RuleSetFiles]
    unread: Mapping[str, str]


class Deployed:
    """The rule sets of one worker. `start`, then use as an async context manager."""

    def __init__(
        self, parts: Parts, first: RuleSetFiles, cache: DeployedCache, actions: Actions
    ) -> None:
        """`first` is imported where nothing was ever deployed."""
        self._parts = parts
        self._first = first
        self._cache = cache
        self._actions = actions
        self._loader = Loader(parts.catalog)
        self._use: Callable[[Brain], None] = lambda _: None
        self._brain: Brain | None = None
        self._order: _Order | None = None
        self._stopped: frozenset[str] = frozenset()
        self._likely: list[RuleSetFiles] = []
        self._seen: set[str] = set()
        self._problems: tuple[str, ...] = ()
        self._retry_at = 0.0
        self._wake = asyncio.Event()
        self._building = Background("deployed")

    @property
    def brain(self) -> Brain:
        """What decides, as this worker has it."""
        assert self._brain is not None, "start() comes first"
        return self._brain

    @property
    def problems(self) -> Sequence[str]:
        """What is to run and does not, a sentence each."""
        return self._problems

    async def start(self, dsn: str) -> Brain:
        """Return the brain to begin with.

        With PostgreSQL away it is what ran here last, else the first set. When the deployed set
        cannot be used by this release, it is the latest live one that can. Raises the
        `ContentError` of the first set when no other can be used either.
        """
        try:
            await self._start_with(dsn)
        except (*AWAY, StoreAway) as error:
            log.warning("rules: PostgreSQL is away (%s)", type(error).__name__)
            await self._start_alone()
        return self._brain or await self._begin_with_first()

    def use_with(self, use: Callable[[Brain], None]) -> None:
        """Call `use` with every brain from now on."""
        self._use = use

    async def __aenter__(self) -> Self:
        self._building.start(self._keep_building())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._building.end()

    async def refresh(self, connection: Any) -> None:
        """Look at what is to run; a `Refresh` of `service.changes`."""
        if self._order is None:
            await ensure_deployed(connection, self._actions, self._first)
        wanted = await read_wanted(connection)
        self._stopped = wanted.stopped
        if wanted.stopped != self.brain.stopped:
            self._put(replace(self.brain, stopped=wanted.stopped))
        is_due = bool(self._problems) and time.monotonic() >= self._retry_at
        if self._order is None or self._order.wanted != wanted or is_due:
            await self._read(connection, wanted)
            self._wake.set()
        await self._look_ahead(connection)

    async def _read(self, connection: Any, wanted: Wanted) -> None:
        """Read every set that is to run."""
        self._retry_at = time.monotonic() + RETRY_SECONDS
        known = {} if self._order is None else self._order.sets
        sets: dict[str, RuleSetFiles] = {}
        unread: dict[str, str] = {}
        for version in wanted.versions:
            try:
                sets[version] = known.get(version) or await read_files(connection, version)
            except Refused as refused:
                unread[version] = str(refused)
        self._stopped = wanted.stopped
        self._order = _Order(wanted, sets, unread)

    async def _look_ahead(self, connection: Any) -> None:
        """Read what may be wanted next, once, so that it is loaded when it is."""
        for version in await read_likely(connection, LIKELY):
            if version not in self._seen and not self._loader.has(version):
                self._seen.add(version)
                with contextlib.suppress(Refused):
                    self._likely.append(await read_files(connection, version))
                self._wake.set()

    async def _keep_building(self) -> None:
        """Build what was read last; then load what may be wanted next."""
        built: _Order | None = None
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._order is not built:
                    built = self._order
                    await self._build()
                while self._likely and self._order is built:
                    with contextlib.suppress(RulesError, FeatureError):
                        await self._loader.ruling(self._likely.pop(0))
            except Exception:  # whatever it is, what decides goes on
                log.exception("what is deployed could not be loaded")
                self._say(["what is deployed could not be loaded: see the log"])

    async def _build(self) -> None:
        """Make the brain that is wanted and put it to use, as far as it can be."""
        order = self._order
        assert order is not None
        wanted = order.wanted
        problems: list[str] = []
        live = await self._ruling(order, wanted.live, "live", problems)
        if live is None:
            self._say(problems)
            return
        candidate = None
        if wanted.candidate is not None:
            candidate = await self._ruling(order, wanted.candidate, "candidate", problems)
        running = {live.version: order.sets[live.version]}
        catalog = await self._loader.catalog(running.values())
        for version in (*((candidate.version,) if candidate else ()), *wanted.shadows):
            part = "shadow" if version in wanted.shadows else "candidate"
            if version not in order.sets:
                problems.append(_sentence(part, version, order.unread[version]))
                continue
            try:
                catalog = await self._loader.catalog([*running.values(), order.sets[version]])
            except FeatureError as error:
                problems.append(_sentence(part, version, _why(error)))
            else:
                running[version] = order.sets[version]
        if order is not self._order:
            return  # something else is wanted meanwhile, and woke us
        kept = wanted._replace(
            candidate=candidate.version if candidate and candidate.version in running else None,
            shadows=tuple(version for version in wanted.shadows if version in running),
        )
        rollout = None
        if candidate is not None and kept.candidate is not None:
            rollout = Rollout(candidate, wanted.share_bp, wanted.salt)
        self._put(
            self._parts.brain(
                live,
                catalog=catalog,
                rollout=rollout,
                shadows=tuple(running[version] for version in kept.shadows),
                stopped=self._stopped,
            )
        )
        self._say(problems)
        await asyncio.to_thread(self._cache.write, kept, running)

    async def _ruling(
        self, order: _Order, version: str, part: str, problems: list[str]
    ) -> Ruling | None:
        why = order.unread.get(version)
        if why is None:
            try:
                return await self._loader.ruling(order.sets[version])
            except (RulesError, FeatureError) as error:
                why = _why(error)
        problems.append(_sentence(part, version, why))
        return None

    def _put(self, brain: Brain) -> None:
        self._brain = brain
        self._use(brain)

    def _say(self, problems: Sequence[str]) -> None:
        for problem in problems:
            if problem not in self._problems:
                log.error("rules: %s", problem)
        if self._problems and not problems:
            log.warning("rules: all that is deployed runs")
        self._problems = tuple(problems)

    async def _start_with(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            await ensure_deployed(connection, self._actions, self._first)
            await self._read(connection, await read_wanted(connection))
            await self._build()
            if self._brain is None:
                await self._fall_back(connection)
        finally:
            with contextlib.suppress(asyncpg.PostgresError, *AWAY):
                await connection.close(timeout=1)

    async def _start_alone(self) -> None:
        """Begin with PostgreSQL away: with what ran here last."""
        found = await asyncio.to_thread(self._cache.read)
        if found is not None and self._brain is None:
            wanted, sets = found
            self._order, self._stopped = _Order(wanted, sets, {}), wanted.stopped
            await self._build()
        self._order = None  # what is read later is built, whatever it is

    async def _begin_with_first(self) -> Brain:
        self._say([*self._problems, f"deciding with the set of the files, {self._first.version}"])
        self._put(await self._brain_of(self._first))
        return self.brain

    async def _fall_back(self, connection: Any) -> None:
        """Begin with the latest live set that can be used."""
        for version in await read_lives(connection, EARLIER_LIVES):
            with contextlib.suppress(RulesError, FeatureError, Refused):
                self._put(await self._brain_of(await read_files(connection, version)))
                return

    async def _brain_of(self, files: RuleSetFiles) -> Brain:
        ruling = await self._loader.ruling(files)
        catalog = await self._loader.catalog([files])
        return self._parts.brain(ruling, catalog=catalog, stopped=self._stopped)


def _sentence(part: str, version: str, why: str) -> str:
    return f"{part} {version[:_SHOWN]} is not used: {why}"


def _why(error: Exception) -> str:
    """Say what is wrong without a line of the rules: `/readyz` is open to everybody."""
    if isinstance(error, ContentError):
        first = error.diagnostics[0]
        where = f"{first.file} line {first.line} ({first.code})"
        return f"problems found: {len(error.diagnostics)}, the first in {where}"
    if isinstance(error, CatalogError):
        return f"problems found in its series: {len(error.problems)}"
    return type(error).__name__
