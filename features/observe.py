"""What does an event ask of the velocity store, and what does it leave there?

Live events and events of the past go through the one function `ask`, so that counters rebuilt from
history are those that were counted live.
Invariant: pure; every identifier in an observation is a keyed tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from features.catalog import Catalog, EventPlan, SeriesPlan
from features.entities import entities_of
from features.event import Event
from features.fields import FIELD_TYPES, Value, fields_of
from features.money import CurrencyTable
from features.tags import Tagger
from features.velocity.observation import EntityObservation, Observation, SeriesRead

# Tells the two observations of one event apart for the store's recognition of repeats.
OUTCOME_SUFFIX = ":outcome"


class Waiting(NamedTuple):
    """A series of one entity that is recorded with the decision, and the value it gets then."""

    kind: str
    tag: str
    plan: SeriesPlan
    value: int | str


class Asked(NamedTuple):
    """What an event reads and records at once, and what its outcome may record later."""

    observation: Observation
    on_outcome: tuple[Waiting, ...]

    def recorded_by(self, outcome: str) -> Observation | None:
        """Give what an outcome records, None when that is nothing.

        It belongs to the same event and the same time; its answer means nothing.
        """
        entities: dict[tuple[str, str], list[SeriesRead]] = {}
        for kind, tag, plan, value in self.on_outcome:
            if plan.outcomes is not None and outcome in plan.outcomes:
                entities.setdefault((kind, tag), []).append(SeriesRead(plan, value))
        if not entities:
            return None
        event_tag, observed_ms, _ = self.observation
        return Observation(
            event_tag + OUTCOME_SUFFIX,
            observed_ms,
            tuple(EntityObservation(*key, tuple(reads)) for key, reads in entities.items()),
        )


def ask(
    plan: EventPlan,
    tags: Mapping[str, str],
    fields: Mapping[str, Value],
    tagger: Tagger,
    event_tag: str,
    observed_ms: int,
) -> Asked:
    """Make what an event of `plan.event_type` asks, from its entities (`tags`) and `fields`.

    A series whose filter is false or unknown, or whose measured value the event does not have, is
    read and not recorded.
    """
    verdicts = [condition.verdict(fields) for condition in plan.filters]
    entities: list[EntityObservation] = []
    on_outcome: list[Waiting] = []
    for kind, series in plan.entities.items():
        tag = tags.get(kind)
        if tag is None:
            tag = pair_tag(plan.pairs[kind], tags) if kind in plan.pairs else None
            if tag is None:
                continue
        reads = []
        for one in series:
            value = None
            if one.writes and (one.where < 0 or verdicts[one.where]):
                value = _value(one, tags, fields, tagger)
                if one.outcomes is not None:
                    if value is not None:
                        on_outcome.append(Waiting(kind, tag, one, value))
                    value = None
            reads.append(SeriesRead(one, value))
        entities.append(EntityObservation(kind, tag, tuple(reads)))
    return Asked(Observation(event_tag, observed_ms, tuple(entities)), tuple(on_outcome))


def observation_of(
    event: Event, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable, observed_ms: int
) -> Observation:
    """Make the observation of an event that the service accepted at `observed_ms`."""
    plan = catalog.plan(event.type)
    fields = fields_of(event, currencies) if plan.needs_fields else {}
    event_tag = tagger.tag("event", event.event_id)
    return ask(plan, entities_of(event, tagger), fields, tagger, event_tag, observed_ms).observation


def pair_tag(kinds: tuple[str, str], tags: Mapping[str, str]) -> str | None:
    """Give the tag of a pair of entities: both tags, when the event names both."""
    one, other = kinds
    return f"{tags[one]}.{tags[other]}" if one in tags and other in tags else None


def _value(
    series: SeriesPlan, tags: Mapping[str, str], fields: Mapping[str, Value], tagger: Tagger
) -> int | str | None:
    of = series.of
    if of is None:
        return 1
    if of not in FIELD_TYPES:
        return tags.get(of)
    value = fields.get(of)
    if value is None:
        return None
    if series.measure != "distinct":
        return int(value)
    return tagger.tag("field", f"{of}={value}")
