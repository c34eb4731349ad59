"""The load generator: closed-loop clients that replay prepared request bodies.

Runs in a process of its own (`python -m tests.bench.load`), bounded by the number of bodies; prints
one JSON line with the latencies. Raw sockets, because a comfortable client would cost more CPU than
the service under test.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

HOST = "127.0.0.1"


async def _client(
    port: int, head: bytes, bodies: Iterator[bytes], seconds: list[float], failures: list[str]
) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    for body in bodies:
        started = time.perf_counter()
        writer.write(head + b"%d\r\n\r\n" % len(body) + body)
        answer_head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = answer_head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]
        answer = await reader.readexactly(int(length))
        seconds.append(time.perf_counter() - started)
        if not answer_head.startswith((b"http/1.1 200", b"http/1.1 202")):
            failures.append(answer.decode(errors="replace")[:500])
        elif b'"degraded":[]' not in answer and b'"degraded"' in answer:
            failures.append("degraded: " + answer.decode()[:500])
    writer.close()


async def _load(
    port: int, path: str, key: str, clients: int, bodies: list[bytes]
) -> dict[str, object]:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    seconds: list[float] = []
    failures: list[str] = []
    shared = iter(bodies)
    cpu = sum(os.times()[:2])
    started = time.perf_counter()
    await asyncio.gather(*(_client(port, head, shared, seconds, failures) for _ in range(clients)))
    return {
        "elapsed_seconds": time.perf_counter() - started,
        "latency_seconds": seconds,
        "cpu_seconds": sum(os.times()[:2]) - cpu,
        "failures": failures[:5],
        "failure_count": len(failures),
    }


def main() -> None:
    """Read PORT PATH KEY CLIENTS FILE (one JSON body a line) and print the result as JSON."""
    port, path, key, clients, file = sys.argv[1:6]
    bodies = Path(file).read_bytes().splitlines()
    result = uvloop.run(_load(int(port), path, key, int(clients), bodies))
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
