"""What may rules and model know, and what must be read and recorded for it?

One YAML file declares it; `Catalog` is that file checked, compiled and frozen at start.
Invariant: every name has one type and one meaning; equal content gives an equal version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.catalog_check import CheckedRows, check_rows
from features.catalog_filters import Filter
from features.catalog_rows import CatalogError, CatalogProblem, Report, Row, read_rows
from features.entities import ENTITY_KINDS
from features.event_features import EVENT_FUNCTIONS, Function
from features.event_types import EVENT_TYPES
from features.fields import FIELD_TYPES, PRESENCE

__all__ = ["Catalog", "CatalogError", "CatalogProblem", "EventPlan", "SeriesPlan"]

DEFAULT_PATH = Path(__file__).with_name("catalog.yaml")
SHOWN = 16  # hex digits of a version that people see


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series, as one event type meets it.

    - `name`: of the series, and of its key in the store; `entity`: the kind it is kept for.
    - `measure`: count, sum, distinct, first_seen or last_seen.
    - `of`: the event field that `sum` adds up, or the field or entity kind whose tags `distinct`
      tells apart; None for the other measures.
    - `windows_ms[i]` is read into the feature `features[i]`. First and last seen have one feature,
      in seconds, and no window but the one that says how long they are kept.
    - `retention_ms`: the longest window.
    - `writes`: whether this event type is recorded (when `where` holds), or only reads.
    - `where`: index into `EventPlan.filters`, or -1 when every event of the type counts.
    """

    name: str
    entity: str
    measure: str
    of: str | None
    windows_ms: tuple[int, ...]
    features: tuple[str, ...]
    retention_ms: int
    writes: bool
    where: int


@dataclass(frozen=True, slots=True)
class EventPlan:
    """Everything that events of one type read and record; computed once, shared by all requests.

    - `entities[kind]`: the series of that kind of entity which the type reads or records, in the
      order of the catalog; kinds without any are left out.
    - `filters`: each distinct `where` that cannot be decided by the type alone, once.
    - `needs_fields`: whether a filter, a sum or a distinct looks at event fields.
    - `novelty`: per `first_seen` series (name of the seconds, name of the `_is_new` fact, name of a
      feature of the same entity that is there whenever the store answered).
    """

    event_type: str
    entities: Mapping[str, tuple[SeriesPlan, ...]]
    filters: tuple[Filter, ...]
    needs_fields: bool
    novelty: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The declared knowledge.

    - `version`: SHA-256 of the canonical content, hex; `short_version` is what people see.
    - `fact_types`: name -> int, double, bool or string, for everything that a rule may use.
    - `model_features`: the model's inputs in the order of a row; numbers and bools only.
    - `schema_hash`: SHA-256 over names, types and definitions of the model's inputs, hex.
    - `event_functions`: (name, function) of each feature of the event itself.
    - `ratios`: (name, numerator, denominator) of each derived feature.
    """

    version: str
    fact_types: Mapping[str, str]
    model_features: tuple[str, ...]
    schema_hash: str
    event_functions: tuple[tuple[str, Function], ...]
    ratios: tuple[tuple[str, str, str], ...]
    fields: frozenset[str]
    plans: Mapping[str, EventPlan]

    @classmethod
    def load(cls, path: Path = DEFAULT_PATH) -> Catalog:
        """Read and check a catalog file; raise `CatalogError` with every problem in it."""
        report = Report(path.name)
        checked = check_rows(read_rows(path, report), report)
        if report.problems:
            raise CatalogError(sorted(report.problems, key=lambda problem: problem.line))
        return _compiled(checked)

    @property
    def short_version(self) -> str:
        """Give the first 16 hex digits of the version."""
        return self.version[:SHOWN]

    def plan(self, event_type: str) -> EventPlan:
        """Give the plan of a type in `EVENT_TYPES`; the same object every time."""
        return self.plans[event_type]


def _compiled(checked: CheckedRows) -> Catalog:
    fact_types: dict[str, str] = dict.fromkeys(PRESENCE, "bool")
    definitions: dict[str, Any] = {}
    for row in checked.section("fields"):
        fact_types[row.name] = FIELD_TYPES[row.name]
        if row.values.get("model"):
            definitions[row.name] = dict(row.values)
    for row in checked.section("event_features"):
        fact_types[row.name] = str(row.values["type"])
        if row.values["type"] != "string":
            definitions[row.name] = dict(row.values)
    for row in checked.section("series"):
        for name, kind in checked.features_of(row):
            fact_types[name] = kind
            definitions[name] = {k: v for k, v in row.values.items() if k != "windows"}
    for row in checked.section("derived"):
        fact_types[row.name] = "double"
        definitions[row.name] = dict(row.values)
    return Catalog(
        version=_hash({name: _contents(checked.section(name)) for name in checked.sections}),
        fact_types=fact_types,
        model_features=tuple(definitions),
        schema_hash=_hash([[name, fact_types[name], what] for name, what in definitions.items()]),
        event_functions=tuple(
            (row.name, EVENT_FUNCTIONS[row.values["function"]].function)
            for row in checked.section("event_features")
        ),
        ratios=tuple(
            (row.name, row.values["numerator"], row.values["denominator"])
            for row in checked.section("derived")
        ),
        fields=frozenset(row.name for row in checked.section("fields")),
        plans={name: _plan(name, checked) for name in EVENT_TYPES},
    )


def _plan(event_type: str, checked: CheckedRows) -> EventPlan:
    entities: dict[str, list[SeriesPlan]] = {kind: [] for kind in ENTITY_KINDS}
    filters: list[Filter] = []
    for row in checked.section("series"):
        values = row.values
        if event_type not in (*values["events"], *values.get("read_by", ())):
            continue
        writes = event_type in values["events"]
        where = -1
        condition = checked.filters.get(row.name)
        if condition is not None and writes:
            known = condition.verdict({"event.type": event_type})
            writes = known is not False
            if known is None:
                if condition not in filters:
                    filters.append(condition)
                where = filters.index(condition)
        entities[values["entity"]].append(_series_plan(row, checked, writes, where))
    kept = {kind: tuple(series) for kind, series in entities.items() if series}
    every = [series for of_kind in kept.values() for series in of_kind if series.writes]
    return EventPlan(
        event_type=event_type,
        entities=kept,
        filters=tuple(filters),
        needs_fields=bool(filters) or any(series.of in FIELD_TYPES for series in every),
        novelty=tuple(found for of_kind in kept.values() for found in _novelty(of_kind, checked)),
    )


def _series_plan(row: Row, checked: CheckedRows, writes: bool, where: int) -> SeriesPlan:
    windows = checked.windows_ms(row)
    names = tuple(name for name, kind in checked.features_of(row) if kind != "bool")
    return SeriesPlan(
        name=row.name,
        entity=row.values["entity"],
        measure=row.values["measure"],
        of=row.values.get("of"),
        windows_ms=windows,
        features=names,
        retention_ms=max(windows),
        writes=writes,
        where=where,
    )


def _novelty(of_kind: Sequence[SeriesPlan], checked: CheckedRows) -> list[tuple[str, str, str]]:
    windowed = [s.features[0] for s in of_kind if s.measure in ("count", "sum", "distinct")]
    return [
        (series.features[0], checked.is_new_name(series.name), windowed[0])
        for series in of_kind
        if series.measure == "first_seen" and windowed
    ]


def _contents(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(row.values) for row in rows]


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
