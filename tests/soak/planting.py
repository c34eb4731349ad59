"""How are planted values sent to a service? Rightly in every field, wrongly in every place.

The hand of `leaks.py`. Invariant: what is answered to a refused request is kept, to be searched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from service.api.app import create_app
from service.settings import Settings
from tests.planted import Planted

# What people of the shop write is not about customers, and stands in clear where they read it.
STAFF_TEXTS = frozenset({"purpose", "note", "reason", "description", "comment"})
PATIENCE_SECONDS = 180


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
