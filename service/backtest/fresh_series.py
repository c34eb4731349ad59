"""What would the series of a candidate have known, that nobody counted yet?

The past goes through the store of training, event by event, in the order of acceptance; each event
is answered before it is recorded. Invariant: an answer is what the service would have had, had it
counted the series all along; series that hang on outcomes follow those that were decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite

from features.catalog import Catalog, EventPlan, SeriesPlan
from features.fields import Value
from features.history import HistoryEvent
from features.observe import ask
from features.tags import Tagger
from features.velocity.memory_store import MemoryVelocityStore


def fresh_names(known: Catalog, extended: Catalog) -> tuple[str, ...]:
    """Return the series that `extended` declares and `known` does not."""
    before = {row.name for row in known.rows if row.section == "series"}
    return tuple(
        row.name for row in extended.rows if row.section == "series" and row.name not in before
    )


def warm_up_ms(catalog: Catalog, names: Iterable[str], since_ms: int) -> int | None:
    """Return from when on history matters at `since_ms`; None: from the first event on."""
    wanted = frozenset(names)
    plans = [
        series
        for plan in catalog.plans.values()
        for of_kind in plan.entities.values()
        for series in of_kind
        if series.name in wanted
    ]
    if any(plan.measure == "first_seen" for plan in plans):
        return None
    return max(0, since_ms - max((plan.retention_ms for plan in plans), default=0))


class FreshSeries:
    """Counts some series of a catalog over history; one pass, oldest event first."""

    def __init__(self, known: Catalog, extended: Catalog, tagger: Tagger) -> None:
        names = frozenset(fresh_names(known, extended))
        self._extended = extended
        self._names = names
        self._tagger = tagger
        self._store = MemoryVelocityStore()
        self._plans = {kind: _only(plan, names) for kind, plan in extended.plans.items()}
        before = {name for name, _, _ in known.ratios}
        self._ratios = [ratio for ratio in extended.ratios if ratio[0] not in before]

    def warm_up_ms(self, since_ms: int) -> int | None:
        """Return from when on events must be told to answer at `since_ms`; None: from the first."""
        return warm_up_ms(self._extended, self._names, since_ms)

    def facts_of(self, event: HistoryEvent) -> dict[str, Value]:
        """Return the event's recorded facts with those of the series; then record the event."""
        facts = dict(event.facts)
        plan = self._plans.get(str(event.fields["event.type"]))
        if plan is None or not plan.entities:
            return facts
        asked = ask(
            plan, event.tags, event.fields, self._tagger, event.event_tag, event.observed_ms
        )
        answer = self._store.observe_now(asked.observation)
        if event.outcome is not None:
            later = asked.recorded_by(event.outcome)
            if later is not None:
                self._store.observe_now(later)
        facts.update(answer)
        for seconds, is_new, witness in plan.novelty:
            if witness in facts:
                facts[is_new] = seconds not in answer
        for name, numerator, denominator in self._ratios:
            above, below = facts.get(numerator), facts.get(denominator)
            if below and above is not None:
                ratio = above / below  # type: ignore[operator]  # numbers, says the catalog
                if isfinite(ratio):
                    facts[name] = ratio
        return facts


def _only(plan: EventPlan, names: frozenset[str]) -> EventPlan:
    kept: dict[str, Sequence[SeriesPlan]] = {}
    for kind, of_kind in plan.entities.items():
        if chosen := tuple(series for series in of_kind if series.name in names):
            kept[kind] = chosen
    features = {name for of_kind in kept.values() for series in of_kind for name in series.features}
    entities: Mapping[str, tuple[SeriesPlan, ...]] = {k: tuple(v) for k, v in kept.items()}
    return replace(
        plan,
        entities=entities,
        novelty=tuple(found for found in plan.novelty if found[0] in features),
    )
