"""What does each event type read and record, worked out once from the rows of a catalog?

Invariant: a plan is immutable and shared by all requests; what the type alone decides is decided
here, not for each event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from features.catalog_check import CheckedRows
from features.catalog_filters import Filter
from features.catalog_rows import Row
from features.entities import ENTITY_KINDS
from features.fields import FIELD_TYPES


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series, as one event type meets it.

    - `name`: of the series, and of its key in the store; `entity`: the kind it is kept for, or two
      of them joined by `+`.
    - `measure`: count, sum, mean, min, max, distinct, first_seen or last_seen.
    - `of`: the event field that `sum`, `mean`, `min` and `max` look at, or the field or entity kind
      whose tags `distinct` tells apart; None for the other measures.
    - `windows_ms[i]` is read into the feature `features[i]`. First and last seen have one feature,
      in seconds, and no window but the one that says how long they are kept.
    - `retention_ms`: how long it is kept, at least the longest window.
    - `writes`: whether this event type is recorded (when `where` holds), or only reads.
    - `where`: index into `EventPlan.filters`, or -1 when every event of the type counts.
    - `outcomes`: the event is recorded with its decision, when the outcome is one of these; None:
      it is recorded when it is seen, whatever becomes of it.
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
    outcomes: frozenset[str] | None = None


class ProfileFeature(NamedTuple):
    """A slow feature: fact `name`, read from `field` of the Feast feature view `view`."""

    name: str
    type: str
    view: str
    field: str


@dataclass(frozen=True, slots=True)
class EventPlan:
    """Everything that events of one type read and record; computed once, shared by all requests.

    - `entities[kind]`: the series of that kind of entity which the type reads or records, in the
      order of the catalog; kinds without any are left out. `pairs[kind]` are the two kinds of a
      kind with a `+`.
    - `filters`: each distinct `where` that cannot be decided by the type alone, once.
    - `needs_fields`: whether a filter, a sum or a distinct looks at event fields.
    - `novelty`: per `first_seen` series (name of the seconds, name of the `_is_new` fact, name of a
      feature of the same entity that is there whenever the store answered).
    """

    event_type: str
    entities: Mapping[str, tuple[SeriesPlan, ...]]
    pairs: Mapping[str, tuple[str, str]]
    filters: tuple[Filter, ...]
    needs_fields: bool
    novelty: tuple[tuple[str, str, str], ...]


def plan_of(event_type: str, checked: CheckedRows) -> EventPlan:
    """Work out what events of one type read and record."""
    # Single kinds first, in their own order: the order of function calls on the wire.
    kinds = {row.values["entity"]: None for row in checked.section("series")}
    entities: dict[str, list[SeriesPlan]] = {kind: [] for kind in (*ENTITY_KINDS, *kinds)}
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
        pairs={kind: (parts[0], parts[1]) for kind in kept if len(parts := kind.split("+")) == 2},
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
        retention_ms=checked.retention_ms(row),
        writes=writes,
        where=where,
        outcomes=frozenset(row.values["outcomes"]) if "outcomes" in row.values else None,
    )


def _novelty(of_kind: Sequence[SeriesPlan], checked: CheckedRows) -> list[tuple[str, str, str]]:
    windowed = [s.features[0] for s in of_kind if s.measure in ("count", "sum", "distinct")]
    return [
        (series.features[0], checked.is_new_name(series.name), windowed[0])
        for series in of_kind
        if series.measure == "first_seen" and windowed
    ]
