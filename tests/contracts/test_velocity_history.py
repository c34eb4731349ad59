"""One suite for every velocity history: what `VelocityHistory` promises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from features.velocity.history_store import HistoryWrite, VelocityHistory
from features.velocity.store import VelocityStore, VelocityUnavailable
from tests.contracts.conftest import Kept
from tests.oracles.velocity_oracle import START_MS, Plan, VelocityOracle, observation, plan

pytestmark = pytest.mark.asyncio

HOUR_MS = 3_600_000
MEASURES = ("count", "sum", "mean", "min", "max", "distinct", "first_seen", "last_seen")
SERIES = {measure: plan(measure, HOUR_MS, 1000) for measure in MEASURES}
COUNT = SERIES["count"]
IN_TIME = 5.0

Amounts = Sequence[tuple[int, int]]  # when, and how much


def writes(tag: str, amounts: Amounts, *plans: Plan, first: int = 0) -> list[HistoryWrite]:
    """The records of the past of one user, numbered from `first` on."""
    return [
        HistoryWrite("user", tag, series, position, START_MS + at_ms, value)
        for position, (at_ms, value) in enumerate(amounts, first)
        for series in plans or SERIES.values()
    ]


async def live(store: VelocityStore, tag: str, amounts: Amounts) -> None:
    for n, (at_ms, value) in enumerate(amounts):
        reads = [(series, value) for series in SERIES.values()]
        await store.observe(observation(f"live{n}", at_ms, *reads, tag=tag), IN_TIME)


async def merge(history: VelocityHistory, tag: str, cut_ms: int) -> None:
    for series in SERIES.values():
        await history.merge("user", tag, series, START_MS + cut_ms, IN_TIME)


async def seen(store: VelocityStore, tag: str, at_ms: int, name: str = "r") -> dict[str, float]:
    """What an event at that time sees in all series, recording nothing."""
    reads = [(series, None) for series in SERIES.values()]
    return await store.observe(observation(f"{name}{at_ms}", at_ms, *reads, tag=tag), IN_TIME)


def expected(amounts: Amounts, at_ms: int) -> dict[str, float]:
    """What it would see if all had been recorded live."""
    oracle = VelocityOracle()
    for n, (when, value) in enumerate(amounts):
        reads = [(series, value) for series in SERIES.values()]
        oracle.observe(observation(f"o{n}", when, *reads, tag="t"))
    reads = [(series, None) for series in SERIES.values()]
    return oracle.observe(observation("r", at_ms, *reads, tag="t"))


PAST = [(0, 5), (10, 3), (10, 9), (900, 5), (1500, 4), (1500, 1)]
LATER = [(1600, 2), (1600, 9), (2400, 6)]


async def test_history_is_nowhere_before_it_is_merged(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """A shadow answers nobody; merged, all is there and the shadow gone."""
    await history.append(writes(tag, PAST), IN_TIME)
    assert await seen(store, tag, 1500, "before") == expected([], 1500)
    await merge(history, tag, 1500)
    assert await seen(store, tag, 1500) == expected(PAST, 1500)
    assert [name async for name in history.shadows() if name[1] == tag] == []


@pytest.mark.parametrize("cut_ms", [1500, 1599])
async def test_live_records_follow_the_past(
    store: VelocityStore, history: VelocityHistory, tag: str, cut_ms: int
) -> None:
    """Live records up to the cut are dropped, as the past has them; later ones stay, once."""
    await live(store, tag, PAST[3:] + LATER)
    await history.append(writes(tag, PAST), IN_TIME)
    await merge(history, tag, cut_ms)
    for at_ms in (2400, 2499, 2500, 2600, 3399, 3400, 3_600_009, 3_600_010):
        assert await seen(store, tag, at_ms) == expected(PAST + LATER, at_ms), at_ms


async def test_what_history_does_not_have_is_dropped_up_to_the_cut(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """A record whose event the past no longer has, as when a person was forgotten."""
    await live(store, tag, [(700, 8), (750, 9)])
    await history.append(writes(tag, PAST[:3]), IN_TIME)
    await merge(history, tag, 750)
    assert await seen(store, tag, 800) == expected(PAST[:3], 800)


async def test_a_chunk_that_comes_again_changes_nothing(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """Whole, in part, with more behind it, in one call or in several."""
    await history.append(writes(tag, PAST[:2]), IN_TIME)
    await history.append(writes(tag, PAST[:4]), IN_TIME)
    await history.append(writes(tag, PAST[1:3], first=1), IN_TIME)
    await history.append(writes(tag, PAST) * 2, IN_TIME)
    await history.append([], IN_TIME)
    await merge(history, tag, 1500)
    assert await seen(store, tag, 1500) == expected(PAST, 1500)


async def test_a_merge_that_comes_again_changes_nothing(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """Also one without any history, and one after more live records."""
    await live(store, tag, PAST)
    await merge(history, tag, 10_000)
    assert await seen(store, tag, 1500, "kept") == expected(PAST, 1500)
    await history.append(writes(tag, PAST), IN_TIME)
    await merge(history, tag, 1500)
    await merge(history, tag, 10_000)
    assert await seen(store, tag, 1500) == expected(PAST, 1500)


async def test_the_whole_history_may_be_made_again(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """As after a restart that forgot how far it was: nothing counts twice."""
    for cut_ms in (1500, 1550):
        await live(store, tag, LATER)
        await history.append(writes(tag, PAST), IN_TIME)
        await merge(history, tag, cut_ms)
    assert await seen(store, tag, 2400) == expected(PAST + LATER, 2400)


async def test_first_seen_forgets_over_a_gap_between_past_and_live(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """A gap of the whole retention between the past and the first live record begins anew."""
    first, gap = SERIES["first_seen"], HOUR_MS
    for its_tag, since_ms in ((tag + "a", gap - 1), (tag + "b", gap)):
        one = observation("l", since_ms, (first, 1), tag=its_tag)
        await store.observe(one, IN_TIME)
        await history.append(writes(its_tag, [(0, 1)], first), IN_TIME)
        await history.merge("user", its_tag, first, START_MS + 5, IN_TIME)
    late = [observation("r", gap + 500, (first, None), tag=tag + which) for which in "ab"]
    answers = [await store.observe(one, IN_TIME) for one in late]
    assert answers == [{"first_seen_seconds": 3600.5}, {"first_seen_seconds": 0.5}]


async def test_shadows_are_listed_by_kind_tag_and_series_and_can_be_dropped(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """Also of pairs, whose kind has a plus and whose tag a dot; dropped, they are not merged."""
    pair = HistoryWrite("user+coupon_campaign", f"{tag}.{tag}", COUNT, 0, START_MS, 1)
    one = HistoryWrite("device", tag, COUNT, 0, START_MS, 1)
    await history.append([pair, one], IN_TIME)
    listed = {name async for name in history.shadows() if tag in name[1]}
    assert listed == {
        ("user+coupon_campaign", f"{tag}.{tag}", "count"),
        ("device", tag, "count"),
    }
    await history.merge(*pair[:3], START_MS, IN_TIME)
    state = await history.peek(*pair[:3], START_MS, IN_TIME)
    assert (state.members, state.first_ms, state.last_ms) == (1, START_MS, START_MS)
    await history.drop_shadows()
    assert [name async for name in history.shadows()] == []
    await history.merge(*one[:3], START_MS, IN_TIME)
    assert (await history.peek(*one[:3], START_MS, IN_TIME)).members == 0
    # Dropped is forgotten: the same positions are taken again.
    await history.append([one, one._replace(position=1)], IN_TIME)
    await history.merge(*one[:3], START_MS, IN_TIME)
    state = await history.peek(*one[:3], START_MS, IN_TIME)
    assert state.answers == {"count_3600000": 2, "count_1000": 2}


async def test_a_look_records_nothing(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """It answers like an event, and tells size, first and last time; or that nothing is there."""
    await live(store, tag, PAST)
    answers: dict[str, float] = {}
    for series in SERIES.values():
        for _ in range(2):
            state = await history.peek("user", tag, series, START_MS + 1700, IN_TIME)
        answers |= state.answers
        assert 0 < state.size_bytes < 2000
        assert state.last_ms == START_MS + 1500
        assert not state.thinned
        empty = await history.peek("user", tag + "x", series, START_MS, IN_TIME)
        assert empty[1:] == (0, empty.size_bytes, None, None, False)
    assert answers == expected(PAST, 1700)
    assert (await history.peek("user", tag, COUNT, START_MS, IN_TIME)).first_ms == START_MS


async def test_live_records_that_come_during_a_merge_are_there_once(
    store: VelocityStore, history: VelocityHistory, tag: str
) -> None:
    """200 live events race eight merges, each after its own appends: 300 in all, none twice."""
    everything = writes(tag, [(at_ms, 1) for at_ms in range(100)], COUNT)

    async def event(n: int) -> int | float:
        one = observation(f"e{n}", 1000 + n, (COUNT, 1), tag=tag)
        return (await store.observe(one, IN_TIME))["count_3600000"]

    async def merging() -> None:
        for start in range(0, 100, 25):
            await history.append(everything[start : start + 25], IN_TIME)
        await history.merge("user", tag, COUNT, START_MS + 999, IN_TIME)

    counts: list[int | float] = []
    for first in range(0, 200, 25):
        *seen_by, _ = await asyncio.gather(*[event(n) for n in range(first, first + 25)], merging())
        counts += seen_by
    before_the_first_merge = sum(count < 100 for count in counts)
    expected_counts = [*range(before_the_first_merge), *range(100 + before_the_first_merge, 300)]
    assert sorted(counts) == expected_counts
    last = await store.observe(observation("last", 1200, (COUNT, None), tag=tag), IN_TIME)
    assert last["count_3600000"] == 300


@pytest.mark.parametrize("kept", ["valkey", "cluster"], indirect=True)
async def test_a_closed_connection_fails_as_the_store_does(kept: Kept, tag: str) -> None:
    """Every call says `closed`; nothing hangs."""
    await kept.store.close()
    for call in (
        kept.history.append(writes(tag, PAST), IN_TIME),
        kept.history.merge("user", tag, COUNT, START_MS, IN_TIME),
        kept.history.peek("user", tag, COUNT, START_MS, IN_TIME),
        kept.history.drop_shadows(),
    ):
        with pytest.raises(VelocityUnavailable, match="closed"):
            await call
