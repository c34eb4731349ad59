"""What may rules and model know, and what must be read and recorded for it?

One YAML file declares it; `Catalog` is that file checked, compiled and frozen at start.
Invariant: every name has one type and one meaning; equal content gives an equal version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.catalog_check import CheckedRows, check_rows
from features.catalog_extension import extension_of
from features.catalog_plans import EventPlan, ProfileFeature, SeriesPlan, plan_of
from features.catalog_rows import CatalogError, CatalogProblem, Report, Row, read_rows
from features.catalog_text import Entry, entries_of
from features.event_features import EVENT_FUNCTIONS, Function
from features.event_types import EVENT_TYPES
from features.fields import FIELD_TYPES, PRESENCE

__all__ = [
    "Catalog",
    "CatalogError",
    "CatalogProblem",
    "EventPlan",
    "ProfileFeature",
    "SeriesPlan",
]

DEFAULT_PATH = Path(__file__).with_name("catalog.yaml")
_NO_MEANING = frozenset(
    ("windows", "keep", "model", "missing", "missing_zh", "description", "description_zh")
)
SHOWN = 16  # hex digits of a version that people see


@dataclass(frozen=True, slots=True)
class Catalog:
    """The declared knowledge.

    - `version`: SHA-256 of the canonical content, hex; `short_version` is what people see.
    - `fact_types`: name -> int, double, bool or string, for everything that a rule may use.
    - `model_features`: the model's inputs in the order of a row; numbers and bools only.
      `model_places` maps each to its place in the row.
    - `schema_hash`: SHA-256 over names, types and definitions of the model's inputs, hex.
    - `event_functions`: (name, function) of each feature of the event itself; `customer_functions`
      are those that an event about no merchant can have.
    - `ratios`: (name, numerator, denominator) of each derived feature.
    - `profiles`: the slow features, in the order of the file.
    - `entries`: every fact with its sentence for people, in the order of the file.
    - `rows`: what was declared, as it was read.
    """

    version: str
    fact_types: Mapping[str, str]
    model_features: tuple[str, ...]
    model_places: Mapping[str, int]
    schema_hash: str
    event_functions: tuple[tuple[str, Function], ...]
    customer_functions: tuple[tuple[str, Function], ...]
    ratios: tuple[tuple[str, str, str], ...]
    fields: frozenset[str]
    profiles: tuple[ProfileFeature, ...]
    plans: Mapping[str, EventPlan]
    entries: tuple[Entry, ...]
    rows: tuple[Row, ...]

    @classmethod
    def load(cls, path: Path = DEFAULT_PATH) -> Catalog:
        """Read and check a catalog file; raise `CatalogError` with every problem in it."""
        report = Report(path.name)
        return _checked(read_rows(path, report), report)

    def extended(self, texts: Iterable[str]) -> Catalog:
        """Return this catalog with the series that rule sets declare (`series.yaml`).

        Each text has the sections `series` and `derived`, in this catalog's form. The model never
        sees them. A series that several sets declare in the same way is one series. Raises
        `CatalogError` with every problem.
        """
        report = Report("series.yaml")
        rows = extension_of(self.rows, texts, report)
        if not (rows or report.problems):
            return self
        return _checked([*self.rows, *rows], report, is_extended=True)

    @property
    def short_version(self) -> str:
        """Give the first 16 hex digits of the version."""
        return self.version[:SHOWN]

    def plan(self, event_type: str) -> EventPlan:
        """Give the plan of a type in `EVENT_TYPES`; the same object every time."""
        return self.plans[event_type]


def _checked(rows: Sequence[Row], report: Report, *, is_extended: bool = False) -> Catalog:
    checked = check_rows(rows, report, is_extended=is_extended)
    if report.problems:
        raise CatalogError(sorted(report.problems, key=lambda problem: problem.line))
    return _compiled(checked, tuple(rows))


def _compiled(checked: CheckedRows, rows: tuple[Row, ...]) -> Catalog:
    fact_types: dict[str, str] = dict.fromkeys(PRESENCE, "bool")
    definitions: dict[str, Any] = {}
    for row in checked.section("fields"):
        fact_types[row.name] = FIELD_TYPES[row.name]
        if row.values.get("model"):
            definitions[row.name] = dict(row.values)
    for row in checked.section("event_features"):
        fact_types[row.name] = str(row.values["type"])
        if _is_model_input(row):
            definitions[row.name] = _definition(row)
    for row in checked.section("series"):
        for name, kind in checked.features_of(row):
            fact_types[name] = kind
            if _is_model_input(row):
                definitions[name] = _definition(row)
    for row in checked.section("derived"):
        fact_types[row.name] = "double"
        of_model = (row.values["numerator"], row.values["denominator"])
        if row.values.get("model", True) and all(name in definitions for name in of_model):
            definitions[row.name] = _definition(row)
    for row in checked.section("profiles"):
        fact_types[row.name] = str(row.values["type"])
        if _is_model_input(row):
            definitions[row.name] = _definition(row)
    functions = [
        (row.name, EVENT_FUNCTIONS[row.values["function"]])
        for row in checked.section("event_features")
    ]
    return Catalog(
        version=_hash({name: _contents(checked.section(name)) for name in checked.sections}),
        fact_types=fact_types,
        model_features=tuple(definitions),
        model_places={name: place for place, name in enumerate(definitions)},
        schema_hash=_hash([[name, fact_types[name], what] for name, what in definitions.items()]),
        event_functions=tuple((name, named.function) for name, named in functions),
        customer_functions=tuple(
            (name, named.function) for name, named in functions if not named.is_of_trade
        ),
        ratios=tuple(
            (row.name, row.values["numerator"], row.values["denominator"])
            for row in checked.section("derived")
        ),
        fields=frozenset(row.name for row in checked.section("fields")),
        profiles=tuple(
            ProfileFeature(row.name, *[str(row.values[key]) for key in ("type", "view", "field")])
            for row in checked.section("profiles")
        ),
        entries=entries_of(checked),
        rows=rows,
        plans={name: plan_of(name, checked) for name in EVENT_TYPES},
    )


def _is_model_input(row: Row) -> bool:
    """Say whether the model sees a feature: numbers and bools, where nothing speaks against it.

    What follows from the model's own answers would teach it to repeat them.
    """
    values = row.values
    return bool(values.get("model", values.get("type") != "string" and "outcomes" not in values))


def _definition(row: Row) -> dict[str, Any]:
    """Give what the meaning of a feature depends on.

    Not which windows are read, for how long more it is kept, or what is said about it.
    """
    return {key: value for key, value in row.values.items() if key not in _NO_MEANING}


def _contents(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(row.values) for row in rows]


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
