"""Are the decisions of an export the ones that their rules, model and facts give?

For whoever has a package, the rule sets and the bundles, and nothing else: no database, no keys, no
network. Only decisions with both blocks disclosed can be computed. Invariant: what the package says
is taken as it is; whether it is the record is for `verify.py` to prove first.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from features.catalog import Catalog
from rules.files import RuleSetFiles
from service.audit.replay_archive import ReplayArchive
from service.audit.replay_tally import ReplayTally, compare
from service.rule_sets.errors import UnknownRuleSet

VIEWS = "views/entries-"
LINES = ".jsonl"
_FIELDS = {"header", "core", "subject"}
# One entry has three blocks of 1 MiB at most.
MOST_LINE_BYTES = 8 << 20


class PackageUnreadable(Exception):
    """This is no package; the text says why."""

    code = "package_unreadable"


async def replay_package(
    package: Path, rules: Sequence[Path], bundles: Path, catalog: Catalog
) -> ReplayTally:
    """Compute the disclosed decisions of a package again.

    `rules`: directories of rule sets (`touchstone rules pull`); `bundles`: a directory of bundles.
    Raises `PackageUnreadable`, and `ContentError` for a directory that is no rule set.
    """
    sets = {files.version: files for files in map(RuleSetFiles.load, rules)}

    async def read(version: str) -> RuleSetFiles:
        if version not in sets:
            raise UnknownRuleSet(version)
        return sets[version]

    archive, tally = ReplayArchive(catalog, bundles), ReplayTally()
    entries = 0
    for line in _lines(package):
        header, entries = line["header"], entries + 1
        if header["type"] != "decision":
            continue
        if line["core"] is None or line["subject"] is None:
            tally.unread["withheld"] += 1
            continue
        said = header["versions"], line["core"], line["subject"]
        await compare(archive, read, header["entry"], *said, tally)
    if not entries:
        raise PackageUnreadable(f"{package} has no entries: is it a package of this service?")
    return tally


def _lines(package: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a package, or of one `.jsonl` file out of it."""
    try:
        if package.suffix == LINES:
            with package.open("rb") as file:
                yield from _parsed(file)
            return
        with tarfile.open(package, "r:") as tar:
            for member in tar:
                if member.name.startswith(VIEWS) and member.name.endswith(LINES):
                    file_in = tar.extractfile(member)
                    if file_in is not None:
                        yield from _parsed(file_in)
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise PackageUnreadable(
            f"{package} is no package of this service: {type(error).__name__}"
        ) from None


def _parsed(file: Any) -> Iterator[dict[str, Any]]:
    while line := file.readline(MOST_LINE_BYTES):
        found = json.loads(line)
        if not isinstance(found, dict) or not found.keys() >= _FIELDS:
            raise ValueError("another table than that of the entries")
        yield found
