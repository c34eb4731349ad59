"""How does a rule set become a ruling while decisions go on?

In a thread that gives the interpreter back twice a millisecond: loading 50 rules takes 0.1 s of
CPU, 1,000 rules 2 s, and no decision waits for it. What was loaded is kept for a while, so that
what is approved, or was live a moment ago, is there before it is activated.
Invariant: a ruling is the one of exactly these files, whoever else is being loaded.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from features.catalog import Catalog
from features.errors import FeatureError
from rules.errors import RulesError
from rules.files import RuleSetFiles
from rules.ruling import Ruling

# With Python's 5 ms a decision, which gives the interpreter away at each of its waits, took 30 ms.
SWITCH_SECONDS = 0.0005
# A ruling of 50 rules takes 2 MB.
KEPT_RULES = 4_000
KEPT_RULINGS = 12
# The interval is the whole process's: who sets it back must be who set it.
_TURN = threading.Lock()


class Loader:
    """Rulings and catalogs for one base catalog; loads one at a time."""

    def __init__(self, base: Catalog) -> None:
        self.base = base
        self._rulings: OrderedDict[str, Ruling] = OrderedDict()
        self._refused: OrderedDict[str, Exception] = OrderedDict()
        self._catalogs: OrderedDict[tuple[str, ...], Catalog] = OrderedDict()
        self._one = asyncio.Lock()

    def has(self, version: str) -> bool:
        """Say whether the ruling of a version is there already."""
        return version in self._rulings

    async def ruling(self, files: RuleSetFiles) -> Ruling:
        """Return the ruling of a set; raise the `ContentError` or `CatalogError` of what is wrong.

        It may use the base catalog's facts and those of its own series. What was wrong once stays
        wrong, and is not loaded again.
        """
        async with self._one:
            if files.version in self._refused:
                raise self._refused[files.version].with_traceback(None)
            found = self._rulings.get(files.version)
            if found is None:
                try:
                    found = await asyncio.to_thread(self._load, files)
                except (RulesError, FeatureError) as error:
                    self._refused[files.version] = error
                    if len(self._refused) > KEPT_RULINGS:
                        self._refused.popitem(last=False)
                    raise
                self._rulings[files.version] = found
                self._forget()
            self._rulings.move_to_end(files.version)
            return found

    async def catalog(self, sets: Iterable[RuleSetFiles]) -> Catalog:
        """Return the base catalog with the series of all these sets; raise `CatalogError`."""
        texts = tuple(dict.fromkeys(files.series for files in sets if files.series is not None))
        if not texts:
            return self.base
        async with self._one:
            found = self._catalogs.get(texts)
            if found is None:
                found = await asyncio.to_thread(self._extend, texts)
                self._catalogs[texts] = found
                if len(self._catalogs) > KEPT_RULINGS:
                    self._catalogs.popitem(last=False)
            return found

    def _load(self, files: RuleSetFiles) -> Ruling:
        with _gently():
            catalog = self.base if files.series is None else self.base.extended([files.series])
            return Ruling.load(files, catalog.fact_types)

    def _extend(self, texts: tuple[str, ...]) -> Catalog:
        with _gently():
            return self.base.extended(texts)

    def _forget(self) -> None:
        """Drop what was not asked for longest, beyond what may be kept."""
        while len(self._rulings) > 1 and (
            len(self._rulings) > KEPT_RULINGS
            or sum(len(one.engine.ruleset.rules) for one in self._rulings.values()) > KEPT_RULES
        ):
            self._rulings.popitem(last=False)


@contextmanager
def _gently() -> Iterator[None]:
    """Let other threads run often; no collection of garbage, which would stop all for 30 ms."""
    with _TURN:
        before, was_collecting = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.disable()
        try:
            yield
        finally:
            sys.setswitchinterval(before)
            if was_collecting:
                gc.enable()
