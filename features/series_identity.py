"""When is a series the same series as before?

What was counted under one definition says nothing under another, even when the name stayed. The
definition is what decides whether an event is recorded and with what value; which windows are read,
by whom, and how long the series is kept, are not part of it.
Invariant: equal definitions give equal texts, on every machine and in every release.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from features.catalog import Catalog, SeriesPlan

# Answers of these are about the whole time that the series is kept, not about a window.
_SEEN = frozenset({"first_seen", "last_seen"})
HASH_DIGITS = 16


class Declared(NamedTuple):
    """A series as a catalog declares it.

    `definition`: hash of what is recorded. `features`: (name, milliseconds of the past that its
    value speaks of) of everything that follows from the series alone.
    """

    plan: SeriesPlan
    definition: str
    features: tuple[tuple[str, int], ...]


def declared_series(catalog: Catalog) -> dict[str, Declared]:
    """Give every series of a catalog by name."""
    plans: dict[str, SeriesPlan] = {}
    recorded: dict[str, dict[str, str]] = {}
    novelty: dict[str, str] = {}
    for event_type, plan in sorted(catalog.plans.items()):
        novelty.update({seconds: is_new for seconds, is_new, _ in plan.novelty})
        for series in (one for of_kind in plan.entities.values() for one in of_kind):
            plans.setdefault(series.name, series)
            by_type = recorded.setdefault(series.name, {})
            if series.writes:
                by_type[event_type] = "" if series.where < 0 else plan.filters[series.where].source
    return {
        name: Declared(series, _definition(series, recorded[name]), _features(series, novelty))
        for name, series in plans.items()
    }


def _definition(series: SeriesPlan, recorded: dict[str, str]) -> str:
    outcomes = None if series.outcomes is None else sorted(series.outcomes)
    content: list[Any] = [series.entity, series.measure, series.of, recorded, outcomes]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def _features(series: SeriesPlan, novelty: dict[str, str]) -> tuple[tuple[str, int], ...]:
    if series.measure in _SEEN:
        names = [series.features[0]]
        if series.features[0] in novelty:
            names.append(novelty[series.features[0]])
        return tuple((name, series.retention_ms) for name in names)
    return tuple(zip(series.features, series.windows_ms, strict=True))
