"""Who looks into rule sets while events are answered? A child process, one at a time.

Invariant: no decision waits for a check, and what a rule set makes the child do (take all memory,
never end) ends with the child.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from features.catalog import Catalog, CatalogError
from rules.files import SERIES, RuleSetFiles
from service.errors import Refused
from service.rule_sets.errors import ParameterNotSet, RuleSetRejected

Answer = dict[str, Any]
# 1,000 rules with their examples take 10 s on a slow machine.
ANSWER_SECONDS = 120.0
MODULE = "service.rule_sets.examination"
OWN_SETTINGS = "TOUCHSTONE_"


class NotExamined(Refused):
    """The rule set takes too long, or too much memory, to be looked into."""

    code = "not_examined"


class CatalogChanged(Refused):
    """The catalog's file is another than the one that the service runs with."""

    code = "catalog_changed"


class Examiner:
    """Asks `service.rule_sets.examination`; `code` is the version of the code that answers.

    `base` is the shop's own catalog, read from `path`.
    """

    def __init__(self, base: Catalog, path: Path, code: str) -> None:
        self._base = base
        self._path = path
        self.code = code
        self._turn = asyncio.Semaphore(1)
        self._version_of = lru_cache(maxsize=256)(self._extended)

    async def catalog_version(self, series: str | None) -> str:
        """Return the version of the catalog that a set with these series is checked against.

        Raises `RuleSetRejected` for series that cannot be.
        """
        if series is None:
            return self._base.version
        return await asyncio.to_thread(self._version_of, series)

    def _extended(self, series: str) -> str:
        try:
            return self._base.extended([series]).version
        except CatalogError as error:
            raise RuleSetRejected(f"{SERIES} cannot be used: {error}") from None

    async def study(
        self, files: RuleSetFiles, against: RuleSetFiles, lists: Collection[str] | None
    ) -> Answer:
        """Return version, parts, check and difference of files that were sent."""
        found = await self._ask("study", files, against=dict(against.texts), lists=_listed(lists))
        await self._compare_catalog(files, found["check"])
        return found

    async def check(self, files: RuleSetFiles, lists: Collection[str] | None) -> Answer:
        """Return what the check finds."""
        found = await self._ask("check", files, lists=_listed(lists))
        await self._compare_catalog(files, found)
        return found

    async def compare(self, old: RuleSetFiles, new: RuleSetFiles) -> Answer:
        """Return the difference between two rule sets."""
        return await self._ask("compare", new, against=dict(old.texts))

    async def examples(self, files: RuleSetFiles) -> Answer:
        """Return what the rules answer to their examples."""
        return await self._ask("examples", files)

    async def tune(
        self, files: RuleSetFiles, rule: str, parameter: str, value: float | bool | str
    ) -> RuleSetFiles:
        """Return the files with another value of a parameter; nothing else in them changes."""
        found = await self._ask("tune", files, rule=rule, parameter=parameter, value=value)
        return RuleSetFiles.of(found["files"])

    async def _compare_catalog(self, files: RuleSetFiles, found: Answer) -> None:
        """Raise `CatalogChanged` if the child has another catalog: its check would count for
        nothing here, and say what does not hold here."""
        if found["passed"] and found["catalog"] != await self.catalog_version(files.series):
            raise CatalogChanged

    async def _ask(self, verb: str, files: RuleSetFiles, **more: Any) -> Answer:
        request = {"verb": verb, "files": dict(files.texts), "catalog": str(self._path), **more}
        async with self._turn:
            answer = await _child(json.dumps(request).encode())
        if "refused" in answer:
            raise RuleSetRejected(answer["refused"])
        if "parameter" in answer:
            detail = answer["parameter"]
            raise ParameterNotSet(f"{detail[:1].upper()}{detail[1:]}.")
        return answer


async def _child(request: bytes) -> Answer:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(os.environ),
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer, said = await process.communicate(request)
    except TimeoutError:
        raise NotExamined(
            f"The rule set could not be looked into within {ANSWER_SECONDS:.0f} seconds."
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    ended = process.returncode or 0
    if ended < 0 or b"MemoryError" in said:
        raise NotExamined("The rule set takes too much time or memory to be looked into.")
    if ended != 0:
        raise RuntimeError(f"{MODULE}: {said.decode(errors='replace')[-4000:]}")
    found: Answer = json.loads(answer)
    return found


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return what the child needs: no setting, and so no secret of the service."""
    kept = {name: value for name, value in given.items() if not name.startswith(OWN_SETTINGS)}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _listed(lists: Collection[str] | None) -> list[str] | None:
    return None if lists is None else sorted(lists)
