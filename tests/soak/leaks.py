"""Does a personal value stand in clear anywhere? `python -m tests.soak.leaks` (P5).

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import redis

from service.api.app import create_app
from service.api_key import KeyHash
from service.backup.tables import quoted, tables
from service.embedded import EmbeddedServers
from service.secrets_files import read_keys
from service.settings import Settings
from tests.http_client import Client
from tests.people import person_key
from tests.planted import Planted, Watch
from tests.running import service_process, settings_on
from tests.soak.drill import command
from tests.soak.kills import stop_at_once, until_live

# What people of the shop write is not about customers, and stands in clear where they read it.
STAFF_TEXTS = frozenset({"purpose", "note", "reason", "description", "comment"})
ON_PURPOSE = "on-purpose.jana-novakova+77@clear.example"
BLOCK_BYTES = 4 << 20
PATIENCE_SECONDS = 180
_ROWS = "SELECT t::text AS row FROM {} t"


@dataclass
class Leaks:
    """How much was planted and searched, and in which places which values were found."""

    values: int = 0
    requests: int = 0
    accepted: int = 0
    refused: int = 0
    crashed: int = 0
    searched_bytes: int = 0
    places: int = 0
    found: dict[str, set[str]] = field(default_factory=dict)


class Planter:
    """Sends planted values to one service. Keeps what was answered to refused requests."""

    def __init__(self, port: int, keys: Sequence[str], planted: Planted, found: Leaks) -> None:
        self._planted = planted
        self._found = found
        self.answers: list[tuple[str, bytes]] = []
        self._clients = [
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
                trust_env=False,
            )
            for key in keys
        ]
        self._port = port

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.aclose()

    async def send(
        self, method: str, path: str, *, person: int = 0, **more: Any
    ) -> httpx.Response | None:
        """Send a request; `None` when it is none that a client can send."""
        try:
            answer = await self._clients[person].request(method, path, **more)
        except (httpx.LocalProtocolError, httpx.RemoteProtocolError, httpx.InvalidURL):
            return None
        self._found.requests += 1
        self._found.crashed += answer.status_code == 500
        if answer.status_code < 400:
            return answer
        self._found.refused += 1
        # Authors of rules are told which of their files, or which version, there is not.
        if not path.startswith("/v1/rule-sets"):
            where = f"answer {answer.status_code} to {method} {path.partition('%')[0]}"
            self.answers.append((where, answer.content + repr(answer.headers.raw).encode()))
        return answer

    async def events(self, rounds: int) -> None:
        """Send events that are full of values, some of them twice, as events and as decisions."""
        for _ in range(rounds):
            for number, sent in enumerate(self._planted.events()):
                path = "/v1/events" if number % 3 == 2 else "/v1/score"
                answer = await self.send("POST", path, json=sent)
                assert answer is not None
                assert answer.status_code in (200, 202, 503), answer.content
                self._found.accepted += answer.status_code != 503
                if number % 4 == 0:
                    await self.send("POST", path, json=sent)
                    await self.send("POST", path, json=sent | {"note": self._planted("pan")})

    async def used_well(self) -> None:
        """Do with values what people do with them: lists, labels, searches, rights, exports."""
        plant, send = self._planted, self.send
        person = {"kind": "user", "value": plant("user")}
        event_id = plant("id")
        sent = next(plant.events()) | {"event_id": event_id}
        sent["user"]["id"] = person["value"]
        await send("POST", "/v1/score", json=sent)
        await send(
            "POST", "/v1/lists", json={"name": "planted", "purpose": "watch", "description": "x"}
        )
        for kind in ("user", "email", "phone", "device", "ip", "payment_instrument"):
            value = plant({"payment_instrument": "token"}.get(kind, kind))
            named = [{"kind": kind, "value": value}, person]
            for path, more in (
                ("/v1/lists/planted/entries", {"entries": named, "reason": "case 4711"}),
                ("/v1/lists/test", {"entries": named}),
                ("/v1/lists/planted/remove", {"entries": named[:1], "reason": "over"}),
                ("/v1/audit/search", {"kind": kind, "value": value, "purpose": "case 4711"}),
                ("/v1/audit/subjects/export", {"identifiers": named, "purpose": "case 4711"}),
                ("/v1/audit/restrictions", {"identifiers": named[:1], "purpose": "case 4711"}),
                ("/v1/audit/erasures", {"identifiers": named[:1], "purpose": "case 4711"}),
            ):
                await send("POST", path, json=more)
        label = {"event_id": event_id, "source": "chargeback"}
        await send("POST", "/v1/labels", json={"labels": [label]})
        await send("POST", "/v1/labels", json={"labels": [label | {"event_id": plant("id")}]})
        csv = f"event_id,source,label\n{plant('id')},review_result,honest\n".encode()
        await send("POST", "/v1/labels/import", content=csv, headers={"Content-Type": "text/csv"})
        csv = f"kind,value\nphone,{plant('phone')}\n".encode()
        path = "/v1/lists/planted/import?reason=again"
        await send("POST", path, content=csv, headers={"Content-Type": "text/csv"})

    async def package(self) -> bytes:
        """Export everything as exports are by default, and return the package."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                asked = await self.send(
                    "POST", "/v1/audit/exports", person=1, json={"purpose": "a proof"}
                )
                assert asked is not None
                if asked.status_code == 201:
                    break
                await asyncio.sleep(0.5)  # until there is a checkpoint
            path = f"/v1/audit/exports/{asked.json()['id']}"
            approved = await self.send("POST", f"{path}/approve", person=2, json={})
            assert approved is not None
            assert approved.status_code == 200, approved.content
            while True:
                package = await self.send("GET", f"{path}/package", person=1)
                assert package is not None
                if package.status_code == 200:
                    return package.content
                await asyncio.sleep(0.5)

    async def misused(self, operations: list[tuple[str, str, dict[str, Any]]]) -> None:
        """Put values where they do not belong, in every route."""
        plant = self._planted
        for method, path, described in operations:
            wrong = path
            while "{" in wrong:
                name = wrong[wrong.index("{") : wrong.index("}") + 1]
                wrong = wrong.replace(name, quote(plant.known(), safe=""), 1)
            names = [one["name"] for one in described["parameters"] if one["in"] == "query"]
            query = {name: plant.known() for name in (*names, "q")}
            await self.send(method, wrong, params=query, headers=self._headers())
            await self.send("DELETE", wrong, params={plant.known(): plant.known()})
            if "requestBody" not in described:
                continue
            for body in self._bodies(described):
                kind = {"Content-Type": "application/json"}
                await self.send(method, wrong, content=body, headers=kind)
                await self.send(method, path, content=body, headers=kind)
            text = f"{plant.known_name()},kind\n{plant.known()},{plant.known()}\n".encode()
            await self.send(method, wrong, content=text, headers={"Content-Type": "text/csv"})
            kind = {"Content-Type": f"text/{plant.known().encode().hex()}"}
            await self.send(method, path, content=text, headers=kind)
        for path in ("/", "/v1/", "/docs/", "/v1/score/"):
            await self.send("GET", f"{path}{quote(plant.known(), safe='')}")
        headers = {"Authorization": f"Bearer {quote(plant.known())}"}
        await self.send("POST", "/v1/score", json={}, headers=headers)
        await self._no_http()

    def _headers(self) -> dict[str, str]:
        plant = self._planted
        names = ("User-Agent", "X-Request-Id", "X-Forwarded-For", "Referer", "Cookie", "If-Range")
        return {name: quote(plant.known()) for name in names}

    def _bodies(self, described: dict[str, Any]) -> list[bytes]:
        plant = self._planted
        schema = next(iter(described["requestBody"]["content"].values()))["schema"]
        filled = _filled(schema, described["schemas"], plant)
        deep: Any = plant.known()
        for _ in range(40):
            deep = {plant.known_name(): deep}
        whole = json.dumps(filled).encode()
        return [
            whole,
            whole[:-2] + plant.known().encode(),
            plant.known().encode(),
            json.dumps([plant.known()]).encode(),
            json.dumps({plant.known_name(): plant.known(), "event_id": [plant.known()]}).encode(),
            json.dumps(deep).encode(),
            plant.known().encode("utf-16"),
        ]

    async def _no_http(self) -> None:
        for start in ("GET /{} HTTP/1.1\r\nHost x\r\n\r\n", "{}\r\n\r\n", "POST /v1/score {}\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(start.format(self._planted.known()).encode())
            writer.write_eof()
            self.answers.append(("answer to no HTTP", await reader.read()))
            writer.close()


def _filled(schema: dict[str, Any], schemas: dict[str, Any], plant: Planted, depth: int = 0) -> Any:
    """Return a body of this shape with a value wherever something can be stated."""
    if "$ref" in schema:
        return _filled(schemas[schema["$ref"].rpartition("/")[2]], schemas, plant, depth + 1)
    if options := schema.get("anyOf"):
        return _filled(options[0], schemas, plant, depth)
    if schema.get("type") == "array" and depth < 6:
        return [_filled(schema.get("items", {}), schemas, plant, depth + 1)]
    if schema.get("type") == "object" and depth < 6:
        return {
            name: "case 4711" if name in STAFF_TEXTS else _filled(part, schemas, plant, depth + 1)
            for name, part in schema.get("properties", {}).items()
        } or {plant.known_name(): plant.known()}
    return plant.known()


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Return every route of the service: method, path, what it takes."""
    described = create_app(Settings()).openapi()
    schemas = described["components"]["schemas"]
    return [
        (method.upper(), path, {"parameters": [], **operation, "schemas": schemas})
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


async def leaks(folder: Path, values: int, seed: int) -> Leaks:
    """Plant at least so many values, search everything, and do the counterproof."""
    found = Leaks()
    plant = Planted(seed)
    log = folder / "service.log"
    said: list[tuple[str, bytes]] = []
    with EmbeddedServers.start(folder / "servers") as servers:
        settings = settings_on(servers, folder, patient_ms=10_000)
        with service_process(settings, log, workers=1) as (served, key):
            people = await _keys(settings)
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


async def _keys(settings: Settings) -> list[str]:
    connection = await asyncpg.connect(settings.postgres.url)
    hashed = KeyHash(read_keys(settings).tag)
    try:
        return [
            await person_key(connection, hashed, person, "compliance")
            for person in ("asker", "decider")
        ]
    finally:
        await connection.close()


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
    parser = argparse.ArgumentParser(prog="python -m tests.soak.leaks")
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
