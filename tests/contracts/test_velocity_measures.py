"""One suite for every velocity store: means, minima and maxima."""

from __future__ import annotations

import pytest

from features.velocity.store import VelocityStore
from tests.oracles.velocity_oracle import observation, plan

pytestmark = pytest.mark.asyncio

MEAN = plan("mean", 1000, 10_000)
MIN = plan("min", 1000, 10_000)
MAX = plan("max", 1000, 10_000)
IN_A_SECOND = 1.0


async def read(store: VelocityStore, at_ms: int, tag: str) -> dict[str, int | float]:
    """What an event at that time sees, recording nothing."""
    reads = [(series, None) for series in (MEAN, MIN, MAX)]
    return await store.observe(observation(f"r{at_ms}", at_ms, *reads, tag=tag), IN_A_SECOND)


async def record(store: VelocityStore, tag: str, *amounts: tuple[int, int]) -> None:
    """Record amounts at their times in all three series."""
    for n, (at_ms, amount) in enumerate(amounts):
        reads = [(series, amount) for series in (MEAN, MIN, MAX)]
        await store.observe(observation(f"e{n}", at_ms, *reads, tag=tag), IN_A_SECOND)


async def test_nothing_has_no_mean_and_no_extreme(store: VelocityStore, tag: str) -> None:
    """An empty window leaves the name out; a longer one that is not empty has it."""
    assert await read(store, 0, tag) == {}
    await record(store, tag, (0, 7))
    assert await read(store, 1000, tag) == {"mean_10000": 7.0, "min_10000": 7, "max_10000": 7}
    assert await read(store, 10_000, tag) == {}


async def test_amounts_may_be_negative(store: VelocityStore, tag: str) -> None:
    await record(store, tag, (0, -480), (10, -30), (20, -330), (20, -60))
    answer = await read(store, 20, tag)
    assert (answer["min_1000"], answer["max_1000"], answer["mean_1000"]) == (-480, -30, -225.0)


async def test_extremes_leave_the_window_one_by_one(store: VelocityStore, tag: str) -> None:
    """(t - w, t] holds an amount 999 ms old and not one 1,000 ms old."""
    await record(store, tag, (0, 9), (0, 1), (300, 3), (300, 8), (600, 5))
    seen = [await read(store, at_ms, tag) for at_ms in (999, 1000, 1299, 1300, 1599, 1600)]
    extremes = [(answer.get("min_1000"), answer.get("max_1000")) for answer in seen]
    assert extremes == [(1, 9), (3, 8), (3, 8), (5, 5), (5, 5), (None, None)]
    assert {(answer["min_10000"], answer["max_10000"]) for answer in seen} == {(1, 9)}


async def test_one_amount_outdoes_any_number_before_it(store: VelocityStore, tag: str) -> None:
    """40 falling amounts and then a middling one: the greater half stays, the rest is gone."""
    await record(store, tag, *[(10 * n, 200 - 2 * n) for n in range(40)], (400, 161))
    for since, greatest in ((0, 200), (100, 180), (190, 162), (191, 161), (390, 161), (400, 161)):
        series = plan("max", 400 - since + 1, 10_000, name="max")
        one = observation(f"s{since}", 400, (series, None), tag=tag)
        answer = await store.observe(one, IN_A_SECOND)
        assert answer[f"max_{400 - since + 1}"] == greatest, since


@pytest.mark.parametrize("amounts", [(1, 0, 0), (2**52, 2**52 - 3, 1), (-7, 2, 2), (10, 20, 30)])
async def test_a_mean_is_one_division_of_whole_numbers(
    store: VelocityStore, tag: str, amounts: tuple[int, ...]
) -> None:
    """To the last bit, whether the amounts come in one millisecond or in several, and a float."""
    for n, spread in enumerate((0, 1)):
        its_tag = tag + str(n)
        await record(store, its_tag, *[(spread * i, amount) for i, amount in enumerate(amounts)])
        mean = (await read(store, 2, its_tag))["mean_1000"]
        assert isinstance(mean, float)
        assert mean == sum(amounts) / 3
