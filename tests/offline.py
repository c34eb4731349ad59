"""Histories for tests: as rows, as files, and walked one by one through a store."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from features.catalog import Catalog
from features.fields import Value
from features.history import HistoryEvent
from features.observe import Asked, ask
from features.tags import Tagger, derive_tag_keys
from features.velocity.memory_store import MemoryVelocityStore
from tests.oracles.velocity_oracle import VelocityOracle
from tests.running import TAG_KEY
from training.offline.executor import Executor
from training.offline.history_file import SCHEMA

Known = dict[str, Value]
TAGGER = Tagger(derive_tag_keys(TAG_KEY))


def frame_of(events: Iterable[HistoryEvent]) -> pl.DataFrame:
    """The events as a table with the columns of every history."""
    return pl.DataFrame([event.row() for event in events], schema=SCHEMA)


def history_at(path: Path, events: Iterable[HistoryEvent]) -> Path:
    """Write the events as a history file."""
    frame_of(events).write_parquet(path)
    return path


def computed(catalog: Catalog, events: Sequence[HistoryEvent], *cuts: int) -> list[Known]:
    """What the offline executor says about each event, cut into chunks before these rows."""
    executor, rows = Executor(catalog), []
    frame = frame_of(events).select(executor.columns)
    edges = [0, *sorted(cuts), len(events)]
    for start, end in itertools.pairwise(edges):
        later = min((event.observed_ms for event in events[end:]), default=None)
        rows += executor.compute(frame[start:end], later).to_dicts()
    return [{name: v for name, v in row.items() if v is not None} for row in rows]


def asked_of(catalog: Catalog, event: HistoryEvent) -> Asked:
    """What the service asks its store for this event."""
    plan = catalog.plan(str(event.fields["event.type"]))
    return ask(plan, event.tags, event.fields, TAGGER, event.event_tag, event.observed_ms)


def walked(
    catalog: Catalog, events: Iterable[HistoryEvent], store: MemoryVelocityStore | VelocityOracle
) -> Iterator[Known]:
    """What a store answers when the events come one by one, each decided before the next."""
    observe = store.observe if isinstance(store, VelocityOracle) else store.observe_now
    for event in events:
        asked = asked_of(catalog, event)
        yield dict(observe(asked.observation))
        after = None if event.outcome is None else asked.recorded_by(event.outcome)
        if after is not None:
            observe(after)
