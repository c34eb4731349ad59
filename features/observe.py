"""What does an event ask of the velocity store, and what does it leave there?

Invariant: pure; every identifier in an observation is a keyed tag.
"""

from __future__ import annotations

from collections.abc import Mapping

from features.catalog import Catalog, EventPlan, SeriesPlan
from features.entities import entities_of
from features.event import Event
from features.fields import FIELD_TYPES, Value, fields_of
from features.money import CurrencyTable
from features.tags import Tagger
from features.velocity.observation import EntityObservation, Observation, SeriesRead


def observation_of(
    event: Event,
    catalog: Catalog,
    tagger: Tagger,
    currencies: CurrencyTable,
    observed_ms: int,
    *,
    event_tag: str | None = None,
    fields: Mapping[str, Value] | None = None,
) -> Observation:
    """Make the observation of an event that the service accepted at `observed_ms`.

    `event_tag` is the tag of the event id, `fields` are those of `fields_of`, when the caller has
    them already. A series whose filter
    is false or unknown, or whose measured value the event does not have, is read and not recorded.
    """
    plan = catalog.plan(event.type)
    tags = entities_of(event, tagger)
    if fields is None:
        fields = fields_of(event, currencies) if plan.needs_fields else {}
    if event_tag is None:
        event_tag = tagger.tag("event", event.event_id)
    verdicts = [condition.verdict(fields) for condition in plan.filters]
    return Observation(event_tag, observed_ms, _entities(plan, tags, fields, verdicts, tagger))


def _entities(
    plan: EventPlan,
    tags: Mapping[str, str],
    fields: Mapping[str, Value],
    verdicts: list[bool | None],
    tagger: Tagger,
) -> tuple[EntityObservation, ...]:
    entities = []
    for kind, series in plan.entities.items():
        tag = tags.get(kind)
        if tag is not None:
            reads = tuple(
                [
                    SeriesRead(
                        one,
                        _value(one, tags, fields, tagger)
                        if one.writes and (one.where < 0 or verdicts[one.where])
                        else None,
                    )
                    for one in series
                ]
            )
            entities.append(EntityObservation(kind, tag, reads))
    return tuple(entities)


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
    if series.measure == "sum":
        return int(value)
    return tagger.tag("field", f"{of}={value}")
