"""One suite for every velocity store: what it answers when a key has more than it may keep."""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import accumulate

import pytest

from features.velocity.history_store import HistoryWrite, VelocityHistory
from features.velocity.store import MOST_MEMBERS, MOST_VALUES, VelocityStore
from tests.oracles.velocity_oracle import START_MS, observation, plan

pytestmark = pytest.mark.asyncio

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
# So many that, wherever neighbours are too far apart, some window begins between them.
WINDOWS_MS = (1, 100, *[int(1000 * 1.1**n) for n in range(70)], 400 * DAY_MS)
IN_10_SECONDS = 10.0
BULK = 16_000
LIVE = 800


def gaps(pattern: str, count: int) -> list[int]:
    """Milliseconds between events: even, in bursts of one millisecond, or of any size."""
    choose = random.Random(pattern)
    if pattern == "even":
        return [20] * count
    if pattern == "bursts":
        return [choose.choice((0, 0, 0, 0, 0, 1, 1, 40)) for _ in range(count)]
    return [int(choose.paretovariate(0.9)) for _ in range(count)]


def amount(measure: str, n: int) -> int:
    """Extremes get the hardest there is: nearly every amount stays one, some outdo hundreds."""
    if measure in ("min", "max"):
        level = n - 300 if n % 1000 == 999 else n
        return level if measure == "min" else -level
    return n * 7919 % 1000


def exact(measure: str, times: list[int], amounts: list[int], t: int) -> dict[int, set[float]]:
    """Per window, the exact answers of all windows between 255/256 of its length and its length."""
    before = [0, *accumulate(amounts)]
    extreme = max if measure == "max" else min
    extremes = list(accumulate(reversed(amounts), extreme))[::-1]
    answers: dict[int, set[float]] = {}
    for window_ms in WINDOWS_MS:
        first = bisect_right(times, t - window_ms)
        last = bisect_right(times, t - -(-255 * window_ms // 256))
        answers[window_ms] = set()
        for i in range(first, last + 1):
            size, total = len(times) - i, before[-1] - before[i]
            answers[window_ms].add(
                {
                    "count": size,
                    "sum": total,
                    "mean": total / size if size else -1,
                    "min": extremes[i] if size else -1,
                    "max": extremes[i] if size else -1,
                }[measure]
            )
    return answers


@pytest.mark.parametrize(
    ("measure", "pattern"),
    [
        ("count", "even"),
        ("count", "bursts"),
        ("sum", "any"),
        ("mean", "bursts"),
        ("mean", "any"),
        ("min", "even"),
        ("max", "any"),
    ],
)
async def test_a_thinned_window_is_at_most_a_256th_short(
    store: VelocityStore, history: VelocityHistory, tag: str, measure: str, pattern: str
) -> None:
    """16,800 events, the last 800 of them live: no answer is that of any other window."""
    series = plan(measure, *WINDOWS_MS)
    times = list(accumulate(gaps(pattern, BULK + LIVE)))
    amounts = [amount(measure, n) for n in range(BULK + LIVE)]
    past = zip(range(BULK), times, amounts, strict=False)
    writes = [HistoryWrite("user", tag, series, n, START_MS + t, value) for n, t, value in past]
    await history.append(writes, IN_10_SECONDS)
    await history.merge("user", tag, series, START_MS + times[BULK - 1], IN_10_SECONDS)
    for n in range(BULK, BULK + LIVE):
        one = observation(f"{n}", times[n], (series, amounts[n]), tag=tag)
        answer = await store.observe(one, IN_10_SECONDS)
        if n % 100 == 0:
            allowed = exact(measure, times[:n], amounts[:n], times[n])
            for window_ms in WINDOWS_MS:
                assert answer.get(f"{measure}_{window_ms}", -1) in allowed[window_ms], window_ms
    state = await history.peek("user", tag, series, START_MS + times[-1], IN_10_SECONDS)
    assert state.last_ms == START_MS + times[-1]
    if state.thinned:
        assert state.members < 1.25 * MOST_MEMBERS


async def test_up_to_the_most_members_every_window_is_exact(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """8,192 milliseconds with events, some with several: nothing is thinned."""
    series = plan("count", HOUR_MS, 1, 8000)
    times = [START_MS + n for n in range(MOST_MEMBERS) for _ in range(1 + n % 2)]
    writes = [HistoryWrite("user", tag, series, n, t, 1) for n, t in enumerate(times)]
    await history.append(writes, IN_10_SECONDS)
    await history.merge("user", tag, series, 0, IN_10_SECONDS)
    state = await history.peek("user", tag, series, times[-1], IN_10_SECONDS)
    assert not state.thinned
    for window_ms in range(1, MOST_MEMBERS, 111):
        read = observation(
            f"w{window_ms}", MOST_MEMBERS - 1, (plan("count", window_ms), None), tag=tag
        )
        edge = START_MS + MOST_MEMBERS - 1 - window_ms
        inside = len(times) - bisect_right(times, edge)
        assert await store.observe(read, IN_10_SECONDS) == {f"count_{window_ms}": inside}


async def test_values_are_told_apart_up_to_a_number_and_at_least_so_many_beyond(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """40,000 values, a millisecond each: windows answer their length up to 16,384."""
    windows = (1, 1000, MOST_VALUES - 1, MOST_VALUES, MOST_VALUES + 1, HOUR_MS)
    series = plan("distinct", *windows)
    writes = [
        HistoryWrite("user", tag, series, n, START_MS + n, f"value-{n}") for n in range(40_000)
    ]
    await history.append(writes, IN_10_SECONDS)
    await history.merge("user", tag, series, START_MS + 40_000, IN_10_SECONDS)
    answer = await store.observe(
        observation("a", 39_999, (series, f"value-{39_999}"), tag=tag), IN_10_SECONDS
    )
    expected = [1, 1000, MOST_VALUES - 1, MOST_VALUES, MOST_VALUES, MOST_VALUES]
    assert [answer[f"distinct_{window_ms}"] for window_ms in windows] == expected
    # An old value that comes again is one of the latest; another one goes.
    await store.observe(observation("b", 40_000, (series, "value-5"), tag=tag), IN_10_SECONDS)
    answer = await store.observe(observation("c", 40_000, (series, None), tag=tag), IN_10_SECONDS)
    assert [answer[f"distinct_{window_ms}"] for window_ms in windows] == expected
    state = await history.peek("user", tag, series, START_MS + 40_000, IN_10_SECONDS)
    assert state.thinned
    assert MOST_VALUES <= state.members <= 2 * MOST_VALUES + 1
