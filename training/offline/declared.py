"""Which series does a catalog declare, over all event types at once?

The plans of a catalog are made for one event at a time; here they are turned round, one row a
series. Invariant: nothing is said here that the plans do not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.catalog import Catalog, SeriesPlan
from features.catalog_filters import Filter


@dataclass(frozen=True, slots=True)
class DeclaredSeries:
    """One series: its plan, who reads it, and what is recorded in it.

    - `plan`: name, kind of entity, measure, windows and features, the same for every event type.
    - `readers`: the event types that read it; those that record it are among them.
    - `writers`: event type -> the filter that an event must pass to be recorded, or None.
    """

    plan: SeriesPlan
    readers: tuple[str, ...]
    writers: Mapping[str, Filter | None]


def series_of(catalog: Catalog) -> tuple[DeclaredSeries, ...]:
    """Give every series of a catalog, in the order in which the event types name them."""
    plans: dict[str, SeriesPlan] = {}
    readers: dict[str, list[str]] = {}
    writers: dict[str, dict[str, Filter | None]] = {}
    for event_type, of_type in catalog.plans.items():
        for of_kind in of_type.entities.values():
            for plan in of_kind:
                plans.setdefault(plan.name, plan)
                readers.setdefault(plan.name, []).append(event_type)
                passed = writers.setdefault(plan.name, {})
                if plan.writes:
                    passed[event_type] = of_type.filters[plan.where] if plan.where >= 0 else None
    return tuple(
        DeclaredSeries(plan, tuple(readers[name]), writers[name]) for name, plan in plans.items()
    )


def feature_types(catalog: Catalog) -> dict[str, str]:
    """Give name and type of each feature that the offline executor computes, in a fixed order.

    Those are the features of series, whether an entity is new, and the ratios.
    """
    names = [name for declared in series_of(catalog) for name in declared.plan.features]
    names += [is_new for plan in catalog.plans.values() for _, is_new, _ in plan.novelty]
    names += [name for name, _, _ in catalog.ratios]
    return {name: catalog.fact_types[name] for name in names}
