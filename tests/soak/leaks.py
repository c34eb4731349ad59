"""Does a personal value stand in clear anywhere? `python -m tests.soak leaks` (P5).

Values that exist nowhere else go through a running service: in every field of events, in lists,
labels, searches, requests about persons and exports, and wrongly: in every route's path, query,
headers and body, in bad JSON and in no HTTP at all, with PostgreSQL there and away. Then everything
that is left is searched for them, plain, escaped, encoded or hashed without a key: the files of all
servers, the rows as SQL gives them, the keys of Valkey, spools, logs, metrics, exports, backups,
and what was answered to whoever was refused. The counterproof plants one value in the clear in each
of these places and must find it there, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import redis

from service.backup.tables import quoted, tables
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.http_client import Client
from tests.planted import Planted, Watch
from tests.rights import compliance_keys
from tests.running import service_process, settings_on
from tests.soak.drill import command
from tests.soak.kills import stop_at_once, until_live
from tests.soak.planting import Leaks, Planter, operations

ON_PURPOSE = "on-purpose.jana-novakova+77@clear.example"
BLOCK_BYTES = 4 << 20
_ROWS = "SELECT t::text AS row FROM {} t"


async def leaks(folder: Path, values: int, seed: int) -> Leaks:
    """Plant at least so many values, search everything, and do the counterproof."""
    found = Leaks()
    plant = Planted(seed)
    log = folder / "service.log"
    said: list[tuple[str, bytes]] = []
    with EmbeddedServers.start(folder / "servers") as servers:
        settings = settings_on(servers, folder, patient_ms=10_000)
        with service_process(settings, log, workers=1) as (served, key):
            people = await compliance_keys(settings)
            planter = Planter(served.port, [key, *people], plant, found)
            while len(plant.values) < values * 0.8:
                await planter.events(1)
            await planter.used_well()
            await planter.misused(operations())
            said.append(("package", await planter.package()))
            done = await asyncio.to_thread(command, settings, "backup", str(folder / "backups"))
            assert done.returncode == 0, done.stderr
            await stop_at_once(servers)
            while len(plant.values) < values:
                await planter.events(1)
            await planter.misused(random.Random(seed).sample(operations(), 20))
            async with Client(key, port=served.port) as client:
                said.append(("metrics", (await client.get("/metrics")).content))
            assert servers.postgres is not None
            servers.postgres.start()
            await until_live(served)
            said += planter.answers
            await planter.close()
        watch = Watch([*plant.values, ON_PURPOSE])
        found.values = len(plant.values)
        await _search(found, watch, settings, folder, said)
        assert not any(ON_PURPOSE in names for names in found.found.values())
        await _plant_on_purpose(settings, folder, said)
        seen = Leaks()
        await _search(seen, watch, settings, folder, said)
    for place in ("rows", "valkey", "answer", "postgres", "appendonly", "service.log"):
        hit = any(place in where and ON_PURPOSE in names for where, names in seen.found.items())
        assert hit, f"a value in the clear was not found in {place}: {seen.found.keys()}"
    return found


async def _search(
    found: Leaks, watch: Watch, settings: Settings, folder: Path, said: list[tuple[str, bytes]]
) -> None:
    """Search all that is left of a service; the servers still run."""

    def look(place: str, content: bytes) -> None:
        found.searched_bytes += len(content)
        found.places += 1
        if content.strip(b"\0") and (names := watch.found_in(content)):
            found.found.setdefault(place, set()).update(names)

    for where, content in said:
        look(where, content)
    async for name, content in _rows(settings):
        look(f"rows of {name}", content)
    look("valkey", _valkey(settings))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "bundles" not in path.parts:
            before = b""
            with path.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    look(str(path.relative_to(folder)), before + block)
                    before = block[-1024:]


async def _rows(settings: Settings) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the rows of each table as text: PostgreSQL compresses long ones in its files."""
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        for table in await tables(connection):
            rows = await connection.fetch(_ROWS.format(quoted(table.name)))
            yield table.name, "\n".join(row["row"] for row in rows).encode()
    finally:
        await connection.close()


def _valkey(settings: Settings) -> bytes:
    """Return every key of Valkey with what it holds."""
    assert settings.valkey.url is not None
    readers: dict[bytes, Any] = {
        b"string": lambda c, key: c.get(key),
        b"hash": lambda c, key: c.hgetall(key),
        b"zset": lambda c, key: c.zrange(key, 0, -1),
        b"set": lambda c, key: c.smembers(key),
        b"list": lambda c, key: c.lrange(key, 0, -1),
    }
    with redis.Redis.from_url(settings.valkey.url.replace("valkey://", "redis://")) as client:
        parts = [
            key + b"\0" + _flat(readers[client.type(key)](client, key))
            for key in client.scan_iter(count=1000)
        ]
    assert parts, "there is nothing in Valkey"
    return b"\n".join(parts)


def _flat(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"\0".join(bytes(part) for pair in value.items() for part in pair)
    return b"\0".join(map(bytes, value)) if isinstance(value, list | set) else bytes(value or b"")


async def _plant_on_purpose(
    settings: Settings, folder: Path, said: list[tuple[str, bytes]]
) -> None:
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        await connection.execute("CREATE TABLE on_purpose (value text)")
        await connection.execute("INSERT INTO on_purpose VALUES ($1)", ON_PURPOSE)
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    assert settings.valkey.url is not None
    with redis.Redis.from_url(settings.valkey.url.replace("valkey://", "redis://")) as client:
        client.set("on purpose", ON_PURPOSE)
    with (folder / "service.log").open("a", encoding="utf-8") as log:
        log.write(f"GET /{quote(ON_PURPOSE, safe='')}\n")
    said.append(("answer", json.dumps({"detail": ON_PURPOSE}).encode()))
    await asyncio.sleep(1.5)  # Valkey fsyncs its file once a second


def main(arguments: Sequence[str]) -> int:
    """Run, print what was searched and found, and return 1 when a value stands in clear."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak leaks")
    parser.add_argument("--values", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=13)
    given = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(leaks(Path(folder), given.values, given.seed))
    sys.stdout.write(
        f"  {found.values:,} values in {found.requests:,} requests ({found.accepted:,} events "
        f"recorded, {found.refused:,} requests refused, "
        f"{found.crashed} crashed) over {len(operations())} routes; "
        f"{found.searched_bytes / 1e6:,.0f} MB in {found.places:,} places searched: "
        f"{sum(map(len, found.found.values()))} found; the one planted in clear was found in each "
        f"place ({time.monotonic() - began:.0f} s)\n"
    )
    for place, names in sorted(found.found.items()):
        sys.stdout.write(f"  {place}: {len(names)} values, such as {sorted(names)[:2]}\n")
    return 1 if found.found or found.crashed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
