"""A table holds what serving would have seen: the past, and nothing of the present or the label."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import numpy as np
import orjson
import pytest

from features.catalog import Catalog
from features.event import parse_event
from features.money import CurrencyTable
from features.observe import observation_of
from features.problems import InvalidEvent
from features.tags import Tagger, derive_tag_keys
from features.vector import assemble
from features.velocity.memory_store import MemoryVelocityStore
from service.clock import EventClock, epoch_ms
from training.dataset import build_table
from training.labelled import Labelled
from training.simulator.stream import Traffic, simulate

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
TRAFFIC = Traffic(1500, 5, UNTIL - timedelta(days=7), UNTIL)
CURRENCIES = CurrencyTable("CNY", {}, {})


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


def test_rows_equal_those_of_the_service_path(catalog: Catalog) -> None:
    """Event clock, another tag key and the store's own coroutine give the very same rows."""
    stream = list(simulate(TRAFFIC))
    table = build_table(stream, catalog, CURRENCIES)

    async def served() -> list[list[float]]:
        tagger, clock = Tagger(derive_tag_keys(b"k" * 32)), EventClock()
        store, rows = MemoryVelocityStore(), []
        for item in stream:
            event = parse_event(orjson.dumps(item.event))
            now = epoch_ms(clock.observe(event.occurred_at))
            observation = observation_of(event, catalog, tagger, CURRENCIES, now)
            knowledge = await store.observe(observation, 1.0)
            rows.append(assemble(event, knowledge, catalog, CURRENCIES).row())
        return rows

    assert np.array_equal(table.rows, np.array(asyncio.run(served())), equal_nan=True)


def test_labels_are_in_no_row(catalog: Catalog) -> None:
    """Turning every label around changes the labels and the fingerprint, and no cell."""
    stream = list(islice(simulate(TRAFFIC), 300))
    turned = [item._replace(label=1 - (item.label or 0)) for item in stream]
    first, second = (build_table(items, catalog, CURRENCIES) for items in (stream, turned))
    assert np.array_equal(first.rows, second.rows, equal_nan=True)
    assert np.array_equal(first.labels, 1 - second.labels)
    assert first.fingerprint != second.fingerprint


def test_what_comes_later_changes_nothing_before(catalog: Catalog) -> None:
    """The rows of a prefix are the prefix of the rows."""
    stream = list(islice(simulate(TRAFFIC), 400))
    whole = build_table(stream, catalog, CURRENCIES)
    part = build_table(stream[:150], catalog, CURRENCIES)
    assert np.array_equal(whole.rows[:150], part.rows, equal_nan=True)


def test_unknown_labels_are_kept_apart(catalog: Catalog) -> None:
    """No label is NaN, not honest."""
    item = next(simulate(TRAFFIC))
    table = build_table([item._replace(label=None)], catalog, CURRENCIES)
    assert np.isnan(table.labels).all()


def test_an_event_that_the_api_refuses_stops_the_walk(catalog: Catalog) -> None:
    """A wrong event is an error of its source, never left out in silence."""
    item = next(simulate(TRAFFIC))
    broken = Labelled({**item.event, "colour": "red"}, 0, "x")
    with pytest.raises(InvalidEvent):
        build_table([broken], catalog, CURRENCIES)


def test_progress_ends_at_the_number_of_events(catalog: Catalog) -> None:
    """The last report is the total."""
    seen: list[int] = []
    traffic = replace(TRAFFIC, events=600)
    table = build_table(simulate(traffic), catalog, CURRENCIES, seen.append)
    assert seen[-1] == len(table)
    assert seen == sorted(seen)
