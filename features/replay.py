"""What does an event of the past leave in the velocity store, under the catalog of today?

The same function as for live events (`observe.ask`), so that counters made from history are those
that would have been counted. Invariant: pure; every identifier is a keyed tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from features.catalog import Catalog
from features.history import HistoryEvent
from features.observe import ask
from features.tags import Tagger
from features.velocity.history_store import HistoryWrite
from features.velocity.observation import Observation


def writes_of(
    event: HistoryEvent, catalog: Catalog, tagger: Tagger, since_ms: Mapping[str, int]
) -> list[HistoryWrite]:
    """Give what the event records in the series that `since_ms` names, from that time on.

    Series that depend on the outcome are recorded by the event's recorded outcome.
    """
    event_type = str(event.fields["event.type"])
    if event_type not in catalog.plans:
        return []
    plan = catalog.plan(event_type)
    asked = ask(plan, event.tags, event.fields, tagger, event.event_tag, event.observed_ms)
    writes = list(_writes(asked.observation, event, since_ms))
    if event.outcome is not None and asked.on_outcome:
        later = asked.recorded_by(event.outcome)
        if later is not None:
            writes += _writes(later, event, since_ms)
    return writes


def _writes(
    observation: Observation, event: HistoryEvent, since_ms: Mapping[str, int]
) -> Iterator[HistoryWrite]:
    for kind, tag, reads in observation.entities:
        for series, value in reads:
            if value is None:
                continue
            since = since_ms.get(series.name)
            if since is not None and event.observed_ms >= since:
                yield HistoryWrite(kind, tag, series, event.position, event.observed_ms, value)
