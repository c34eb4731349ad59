"""Which two rule sets are compared, over which facts?

Invariant: the catalog holds what both declare; sets that give one series two meanings are refused,
as they could not run side by side either.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.catalog import DEFAULT_PATH, Catalog, CatalogError
from rules.errors import ContentError
from rules.files import RuleSetFiles
from rules.ruling import Ruling
from service.backtest.compared import Compared
from service.backtest.errors import RuleSetUnusable
from service.backtest.fresh_series import fresh_names
from service.backtest.order import Order
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Sides:
    """Both rule sets, loaded.

    `known`: the catalog with the baseline's own series; `extended`: with those of the candidate.
    """

    candidate: Ruling
    baseline: Ruling
    known: Catalog
    extended: Catalog
    compared: Compared

    @property
    def fresh(self) -> tuple[str, ...]:
        """The series that only the candidate declares."""
        return fresh_names(self.known, self.extended)

    @property
    def facts_used(self) -> tuple[str, ...]:
        """Every fact that a rule of either side may read, in alphabetical order."""
        listed = {one.fact for one in self.compared.listed}
        return tuple(sorted((self.compared.facts_used & set(self.extended.fact_types)) | listed))


def base_catalog(settings: Settings) -> Catalog:
    """Return the catalog of the service without the series of rule sets. Raises `CatalogError`."""
    return Catalog.load(settings.catalog or DEFAULT_PATH)


def load_sides(order: Order) -> Sides:
    """Load both sets. Raises `RuleSetUnusable` with every problem, and `CatalogError`."""
    base = base_catalog(order.settings)
    candidate, baseline = RuleSetFiles.of(order.candidate), RuleSetFiles.of(order.baseline)
    try:
        known = base.extended(_series(baseline))
        extended = known.extended(_series(candidate))
    except CatalogError as error:
        raise RuleSetUnusable(f"the series of the two rule sets:\n{error}") from None
    types = extended.fact_types
    loaded = []
    for name, files in (("candidate", candidate), ("baseline", baseline)):
        try:
            loaded.append(Ruling.load(files, types))
        except ContentError as error:
            raise RuleSetUnusable(
                f"the {name} {files.version[:12]} cannot be loaded with this catalog:\n{error}"
            ) from None
    return Sides(loaded[0], loaded[1], known, extended, Compared(loaded[0], loaded[1], types))


def _series(files: RuleSetFiles) -> tuple[str, ...]:
    return () if files.series is None else (files.series,)
