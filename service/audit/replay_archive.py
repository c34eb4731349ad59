"""Where are the rule set, the bundle and the facts' types that an entry names?

Rule sets come from the database or from directories, bundles from `VAR/bundles` or another
directory of bundles, each by its hash. Invariant: what is given has the hash that was asked for;
what is not there is said by name, never replaced.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

from features.catalog import Catalog, CatalogError
from rules.errors import ContentError
from rules.files import RuleSetFiles
from rules.ruling import Ruling
from service.bundle import MANIFEST_FILE, BundleError, Manifest, parse_manifest, read_bundle
from service.rule_sets.errors import RuleSetRejected, UnknownRuleSet
from service.scorer import Scorer

SHOWN = 16
# A ruling of 1,000 rules takes 20 MB, a model 5.
MOST_RULINGS, MOST_SCORERS = 6, 4

Part = TypeVar("Part")
ReadRules = Callable[[str], Awaitable[RuleSetFiles]]
"""Return the files of a version. Raises `UnknownRuleSet` and `RuleSetRejected`."""


class PartMissing(Exception):
    """A part that an entry names is not here; the text names it."""

    code = "part_missing"


class _Loaded(Generic[Part]):
    """The parts that were loaded last; what failed is remembered as well."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: OrderedDict[str, Part | PartMissing] = OrderedDict()

    def find(self, version: str) -> Part | PartMissing | None:
        if version in self._parts:
            self._parts.move_to_end(version)
        return self._parts.get(version)

    def keep(self, version: str, part: Part | PartMissing) -> None:
        self._parts[version] = part
        if len(self._parts) > self._most:
            self._parts.popitem(last=False)


class _OwnSchema:
    """The schema of a bundle, so that it loads beside any catalog: an old row is read, not made."""

    def __init__(self, manifest: Manifest) -> None:
        self.model_features = manifest.features
        self.schema_hash = manifest.schema_hash


class ReplayArchive:
    """Loads what entries name. For one event loop and one process."""

    def __init__(self, catalog: Catalog, bundles: Path) -> None:
        self._bundles = bundles
        self._catalog = catalog
        self._rulings: _Loaded[tuple[Ruling, Catalog]] = _Loaded(MOST_RULINGS)
        self._scorers: _Loaded[Scorer] = _Loaded(MOST_SCORERS)

    async def ruling(self, read: ReadRules, version: str) -> tuple[Ruling, Catalog]:
        """Return a rule set and the catalog with its series. Raises `PartMissing`."""
        found = self._rulings.find(version)
        if found is None:
            found = await self._load_ruling(read, version)
            self._rulings.keep(version, found)
        if isinstance(found, PartMissing):
            raise found
        return found

    def scorer(self, version: str | None) -> Scorer | None:
        """Return the model that a bundle holds, None for no bundle. Raises `PartMissing`."""
        if version is None:
            return None
        found = self._scorers.find(version)
        if found is None:
            found = self._load_scorer(version)
            self._scorers.keep(version, found)
        if isinstance(found, PartMissing):
            raise found
        return found

    async def _load_ruling(
        self, read: ReadRules, version: str
    ) -> tuple[Ruling, Catalog] | PartMissing:
        try:
            files = await read(version)
        except UnknownRuleSet:
            return PartMissing(f"rule set {version[:SHOWN]} is not here")
        except RuleSetRejected as error:
            return PartMissing(f"rule set {version[:SHOWN]} was changed: {error}")
        try:
            catalog = self._extended(files)
            return Ruling.load(files, catalog.fact_types), catalog
        except (ContentError, CatalogError):
            return PartMissing(
                f"rule set {version[:SHOWN]} does not load with this catalog and code"
            )

    def _extended(self, files: RuleSetFiles) -> Catalog:
        return self._catalog if files.series is None else self._catalog.extended([files.series])

    def _load_scorer(self, version: str) -> Scorer | PartMissing:
        directory = self._bundles / version[:SHOWN]
        if not (directory / MANIFEST_FILE).is_file():
            return PartMissing(f"bundle {version[:SHOWN]} is not in {self._bundles}")
        try:
            bundle = read_bundle(directory, _schema_of(directory))
            if bundle.version != version:
                return PartMissing(f"bundle {version[:SHOWN]} was changed in {directory}")
            return Scorer(bundle)
        except BundleError as error:
            return PartMissing(f"bundle {version[:SHOWN]} cannot be used: {error}")


def _schema_of(directory: Path) -> _OwnSchema:
    return _OwnSchema(parse_manifest((directory / MANIFEST_FILE).read_bytes(), directory))
