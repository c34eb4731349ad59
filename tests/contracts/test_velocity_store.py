"""One suite for every velocity store: what `VelocityStore` promises."""

from __future__ import annotations

import asyncio
import random

import pytest

from features.velocity.observation import EntityObservation, Observation, SeriesRead
from features.velocity.store import VelocityStore, VelocityUnavailable
from tests.oracles.velocity_oracle import START_MS, VelocityOracle, observation, plan

pytestmark = pytest.mark.asyncio

HOUR_MS = 3_600_000
COUNT = plan("count", HOUR_MS)
SUM = plan("sum", HOUR_MS)
DISTINCT = plan("distinct", HOUR_MS)
FIRST = plan("first_seen", HOUR_MS)
LAST = plan("last_seen", HOUR_MS)
IN_A_SECOND = 1.0


async def test_an_event_sees_all_before_it_and_never_itself(store: VelocityStore, tag: str) -> None:
    """Events of one millisecond see each other, in the order in which they came."""
    seen = [
        await store.observe(observation(f"e{i}", 0, (COUNT, 1), tag=tag), IN_A_SECOND)
        for i in range(30)
    ]
    assert [answer["count_3600000"] for answer in seen] == list(range(30))


@pytest.mark.parametrize("measure", ["count", "sum", "distinct"])
@pytest.mark.parametrize("older", [0, 3, 40])
async def test_a_window_leaves_out_what_is_exactly_as_old_as_it_is_long(
    store: VelocityStore, tag: str, measure: str, older: int
) -> None:
    """(t - w, t] holds an event 999 ms old and not one 1,000 ms old, however many came since."""
    series = plan(measure, 1000, 10_000)
    for i in range(older):
        await store.observe(observation(f"o{i}", 0, (series, 7), tag=tag), IN_A_SECOND)
    for i in range(older + 1):
        await store.observe(observation(f"e{i}", 1, (series, 5), tag=tag), IN_A_SECOND)
    at_999 = await store.observe(observation("a", 1000, (series, None), tag=tag), IN_A_SECOND)
    at_1000 = await store.observe(observation("b", 1001, (series, None), tag=tag), IN_A_SECOND)
    inside = {"count": older + 1, "sum": 5 * (older + 1), "distinct": 1}[measure]
    assert at_999[f"{measure}_1000"] == inside
    assert at_1000[f"{measure}_1000"] == 0
    assert at_1000[f"{measure}_10000"] == at_999[f"{measure}_10000"] > 0


async def test_windows_may_be_declared_in_any_order(store: VelocityStore, tag: str) -> None:
    series = plan("count", 10_000, 10, 1000)
    for at_ms in (0, 5000, 5500, 5999):
        await store.observe(observation(f"e{at_ms}", at_ms, (series, 1), tag=tag), IN_A_SECOND)
    answer = await store.observe(observation("r", 6000, (series, None), tag=tag), IN_A_SECOND)
    assert answer == {"count_10000": 4, "count_10": 1, "count_1000": 2}


async def test_sums_are_exact_up_to_two_to_the_53(store: VelocityStore, tag: str) -> None:
    for event_tag, amount in (("a", 2**52), ("b", 2**52 - 2), ("c", 1)):
        await store.observe(observation(event_tag, 0, (SUM, amount), tag=tag), IN_A_SECOND)
    answer = await store.observe(observation("d", 1, (SUM, None), tag=tag), IN_A_SECOND)
    assert answer == {"sum_3600000": 2**53 - 1}
    repeated = await store.observe(observation("d", 2, (SUM, None), tag=tag), IN_A_SECOND)
    assert repeated == {"sum_3600000": 2**53 - 1}


async def test_a_value_seen_again_counts_once_from_its_last_time(
    store: VelocityStore, tag: str
) -> None:
    series = plan("distinct", 1000)
    for event_tag, at_ms, value in (("a", 0, "x"), ("b", 100, "y"), ("c", 600, "x")):
        await store.observe(observation(event_tag, at_ms, (series, value), tag=tag), IN_A_SECOND)
    both = await store.observe(observation("d", 1099, (series, None), tag=tag), IN_A_SECOND)
    one = await store.observe(observation("e", 1100, (series, None), tag=tag), IN_A_SECOND)
    assert (both["distinct_1000"], one["distinct_1000"]) == (2, 1)


async def test_a_value_of_none_reads_without_recording(store: VelocityStore, tag: str) -> None:
    reads = tuple((series, None) for series in (COUNT, SUM, DISTINCT, FIRST, LAST))
    for i in range(3):
        answer = await store.observe(observation(f"e{i}", i, *reads, tag=tag), IN_A_SECOND)
        assert answer == {"count_3600000": 0, "sum_3600000": 0, "distinct_3600000": 0}


async def test_first_and_last_seen_are_seconds_and_forgotten_after_the_retention(
    store: VelocityStore, tag: str
) -> None:
    async def seen(event_tag: str, at_ms: int) -> dict[str, int | float]:
        one = observation(event_tag, at_ms, (FIRST, 1), (LAST, 1), tag=tag)
        return await store.observe(one, IN_A_SECOND)

    assert await seen("a", 0) == {}
    assert await seen("b", 1500) == {"first_seen_seconds": 1.5, "last_seen_seconds": 1.5}
    answer = await seen("c", 2500)
    assert answer == {"first_seen_seconds": 2.5, "last_seen_seconds": 1.0}
    assert all(isinstance(value, float) for value in answer.values())
    last_moment = await seen("d", 2500 + HOUR_MS - 1)
    assert last_moment == {"first_seen_seconds": 3602.499, "last_seen_seconds": 3599.999}
    assert await seen("e", 2500 + 2 * HOUR_MS - 1) == {}
    assert await seen("f", 2500 + 2 * HOUR_MS) == {
        "first_seen_seconds": 0.001,
        "last_seen_seconds": 0.001,
    }


async def test_time_never_runs_backwards_in_a_series(store: VelocityStore, tag: str) -> None:
    """An event behind the last record is read and recorded at the time of that record."""
    series = plan("count", 1000)
    await store.observe(observation("a", 5000, (series, 1), (LAST, 1), tag=tag), IN_A_SECOND)
    late = observation("b", 1000, (series, 1), (LAST, 1), tag=tag)
    assert await store.observe(late, IN_A_SECOND) == {"count_1000": 1, "last_seen_seconds": 0.0}
    after = observation("c", 5999, (series, None), (LAST, None), tag=tag)
    assert await store.observe(after, IN_A_SECOND) == {"count_1000": 2, "last_seen_seconds": 0.999}


async def test_a_repeat_gets_the_first_answer_and_is_not_counted(
    store: VelocityStore, tag: str
) -> None:
    reads = ((COUNT, 1), (SUM, 250), (DISTINCT, "v"), (FIRST, 1))
    await store.observe(observation("a", 0, *reads, tag=tag), IN_A_SECOND)
    first = await store.observe(observation("b", 1000, *reads, tag=tag), IN_A_SECOND)
    await store.observe(observation("c", 2000, *reads, tag=tag), IN_A_SECOND)
    assert await store.observe(observation("b", 120_999, *reads, tag=tag), IN_A_SECOND) == first
    third = await store.observe(observation("b", 121_000, *reads, tag=tag), IN_A_SECOND)
    assert third["count_3600000"] == 3
    assert third["sum_3600000"] == 750


async def test_a_repeat_with_one_more_entity_records_that_one(
    store: VelocityStore, tag: str
) -> None:
    """Which entities got through a failed call does not matter: the repeat completes it."""
    user = EntityObservation("user", tag, (SeriesRead(plan("count", 1000, name="u"), 1),))
    device = EntityObservation("device", tag, (SeriesRead(plan("count", 1000, name="d"), 1),))
    await store.observe(Observation("a", START_MS, (user,)), IN_A_SECOND)
    await store.observe(Observation("a", START_MS, (user, device)), IN_A_SECOND)
    answer = await store.observe(Observation("b", START_MS, (user, device)), IN_A_SECOND)
    assert answer == {"u_1000": 1, "d_1000": 1}


async def test_kinds_tags_and_series_are_kept_apart(store: VelocityStore, tag: str) -> None:
    other = plan("count", HOUR_MS, name="other")
    for i in range(3):
        await store.observe(observation(f"e{i}", 0, (COUNT, 1), tag=tag), IN_A_SECOND)
    same_tag = observation("x", 0, (COUNT, 1), tag=tag, kind="device")
    assert (await store.observe(same_tag, IN_A_SECOND))["count_3600000"] == 0
    same_kind = observation("y", 0, (COUNT, 1), tag=tag + "x")
    assert (await store.observe(same_kind, IN_A_SECOND))["count_3600000"] == 0
    both = observation("z", 0, (other, 1), (COUNT, 1), tag=tag)
    assert await store.observe(both, IN_A_SECOND) == {"other_3600000": 0, "count_3600000": 3}


async def test_an_event_without_entities_asks_nothing(store: VelocityStore) -> None:
    assert await store.observe(Observation("e", START_MS, ()), IN_A_SECOND) == {}


async def test_of_200_concurrent_events_each_sees_another_past(
    store: VelocityStore, tag: str
) -> None:
    reads = ((COUNT, 1), (SUM, 10))
    answers = await asyncio.gather(
        *[store.observe(observation(f"e{i}", 0, *reads, tag=tag), 5.0) for i in range(200)]
    )
    assert sorted(answer["count_3600000"] for answer in answers) == list(range(200))
    assert sorted(answer["sum_3600000"] for answer in answers) == list(range(0, 2000, 10))


async def test_one_event_50_times_at_once_counts_once(store: VelocityStore, tag: str) -> None:
    await store.observe(observation("before", 0, (COUNT, 1), tag=tag), IN_A_SECOND)
    answers = await asyncio.gather(
        *[store.observe(observation("e", 0, (COUNT, 1), tag=tag), 5.0) for _ in range(50)]
    )
    assert answers == [{"count_3600000": 1}] * 50
    after = await store.observe(observation("after", 0, (COUNT, 1), tag=tag), IN_A_SECOND)
    assert after == {"count_3600000": 2}


async def test_a_long_life_of_one_entity_agrees_with_the_oracle(
    store: VelocityStore, tag: str
) -> None:
    """1,500 events with bursts and gaps: everything stale is trimmed and nothing else is."""
    series = [plan(measure, 50, 400, 2000) for measure in ("count", "sum", "distinct")]
    oracle, choose, at_ms = VelocityOracle(), random.Random(7), 0
    for i in range(1500):
        at_ms += choose.choices((0, 1, 20, 1500, 2001), (20, 60, 5, 1, 1))[0]
        value = choose.randrange(40)
        one = observation(f"e{i}", at_ms, *[(a_plan, value) for a_plan in series], tag=tag)
        assert await store.observe(one, IN_A_SECOND) == oracle.observe(one), i


async def test_a_closed_store_says_so(store: VelocityStore, tag: str) -> None:
    await store.ping(IN_A_SECOND)
    await store.close()
    with pytest.raises(VelocityUnavailable, match="closed"):
        await store.observe(observation("e", 0, (COUNT, 1), tag=tag), IN_A_SECOND)
    with pytest.raises(VelocityUnavailable, match="closed"):
        await store.ping(IN_A_SECOND)
