"""What do profiles cost a decision? `python -m tests.bench.profile_bench`.

First the read alone, in this process, beside a bare GET and beside Feast's own way of reading. Then
decisions: two services on the same servers, one with profiles and one without, asked in turn, so
that whatever else the machine does meets both. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from features.catalog import Catalog
from features.entities import entities_of
from features.event import parse_event
from features.fields import fields_of
from features.history import HistoryEvent
from features.tags import Tagger, derive_tag_keys
from features.velocity.connect import connect
from service.embedded import EmbeddedServers
from service.settings import Settings, ShopSettings
from tests.bench.bodies import stream_bodies
from tests.profiles import built, feast_module
from tests.running import environment_of, prepared_key, settings_on
from tests.served import HOST, Served, free_port, served, touchstone
from training.command_train import currencies_of
from training.profiles.layout import Layout
from training.profiles.materialize import materialize

ROUNDS = 5
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="profile_bench", description=__doc__)
    parser.add_argument("--requests", type=int, default=3000, help="decisions of each service")
    parser.add_argument("--reads", type=int, default=2000, help="reads of a round")
    options = parser.parse_args(arguments)
    console = Console(width=110, highlight=False)
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as name:
        base = Path(name)
        with EmbeddedServers.start(base / "servers") as servers:
            with_them = _settings(servers, base / "with")
            without = _settings(servers, base / "without")
            bodies = stream_bodies(options.requests + 300, "profiles")
            tags = _materialized(with_them, bodies)
            assert with_them.valkey.url is not None
            uvloop.run(_reads(console, with_them.valkey.url, tags, options.reads))
            _decisions(console, base, with_them, without, bodies)
    return 0


def _settings(servers: EmbeddedServers, base: Path) -> Settings:
    base.mkdir()
    return settings_on(servers, base, patient_ms=5000)


def _materialized(settings: Settings, bodies: list[bytes]) -> list[dict[str, str]]:
    """Give everybody in the bodies a past of two days ago; return their tags."""
    currencies = currencies_of(ShopSettings())
    tagger = Tagger(derive_tag_keys(settings.tag_key_path.read_bytes()))
    past_ms = round((TODAY - timedelta(days=2)).timestamp() * 1000)
    events = []
    for place, raw in enumerate(bodies, start=1):
        event = parse_event(raw, currencies)
        tag, tags = tagger.tag("event", event.event_id), entities_of(event, tagger)
        fields = fields_of(event, currencies)
        at_ms = past_ms + place
        events.append(HistoryEvent(place, at_ms, at_ms, tag, None, tags, fields, {}))
    layout = Layout(settings.var)
    assert settings.valkey.url is not None
    feast_module("feast")
    materialize(layout, built(layout, events, TODAY), settings.valkey.url)
    return [dict(event.tags) for event in events if {"user", "device"} <= set(event.tags)]


async def _reads(console: Console, url: str, tags: list[dict[str, str]], count: int) -> None:
    """The read alone: median of some rounds, in turn with what it is compared with."""
    wanted = Catalog.load().profiles
    connection = connect(url)
    store = feast_module("features.profiles.feast_store").FeastProfileStore(
        connection, wanted, 72 * 3600.0
    )
    now_ms = round(datetime.now(UTC).timestamp() * 1000)

    async def ours(place: int) -> None:
        await store.read(tags[place % len(tags)], now_ms, 1.0)

    async def bare(place: int) -> None:
        await connection.call(("GET", f"nothing-{place}"), timeout_s=1.0)

    feast = await _feast(url, wanted)

    async def theirs(place: int) -> None:
        await feast(tags[place % len(tags)])

    ways: dict[str, Callable[[int], Awaitable[None]]] = {
        "both views, as a decision reads them": ours,
        "a GET of one key on the same connection": bare,
        "both views, Feast's online_read_async": theirs,
    }
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, read in ways.items():
            cpu, started = time.process_time(), time.perf_counter()
            for place in range(count):
                await read(place)
            elapsed, used = time.perf_counter() - started, time.process_time() - cpu
            took[way].append((elapsed / count * 1e6, used / count * 1e6))
    console.print(f"[bold]The read alone[/], {len(wanted)} features, µs, best of {ROUNDS}:")
    for way, times in took.items():
        trip, cpu = min(one[0] for one in times), min(one[1] for one in times)
        console.print(f"  {way:42} {trip:7.0f} round trip {cpu:7.0f} CPU of the client")
    await connection.close()


async def _feast(url: str, wanted: Sequence[Any]) -> Callable[[dict[str, str]], Awaitable[None]]:
    """Read as Feast's class does, through redis-py, one view after the other."""
    from redis import asyncio as redis_asyncio

    online = feast_module("features.profiles.online_store")
    views = feast_module("features.feast_repo.views").FEATURE_VIEWS
    from features.profiles.marker import MARKER_KEY, Marker
    from features.profiles.schema import PROJECT, VIEWS

    client = redis_asyncio.Redis.from_url(url)
    marker = Marker.loads(await client.get(MARKER_KEY))

    store = online.ProfileOnlineStore()
    config = feast_module("feast").RepoConfig(
        project=PROJECT,
        provider="local",
        registry="registry.db",
        online_store=online.ProfileOnlineStoreConfig(url=url, generation=marker.generation),
        entity_key_serialization_version=3,
    )
    fields = {name: [row.field for row in wanted if row.view == name] for name in VIEWS}

    async def read(tags: dict[str, str]) -> None:
        for name, view in VIEWS.items():
            key = online.EntityKey(
                join_keys=[view.entity],
                entity_values=[online.ValueProto(string_val=tags[view.entity])],
            )
            await store.online_read_async(config, views[name], [key], list(fields[name]))

    return read


def _decisions(
    console: Console, base: Path, with_them: Settings, without: Settings, bodies: list[bytes]
) -> None:
    """Decisions with and without profiles, in turn."""
    key = asyncio.run(prepared_key(with_them))
    with ExitStack() as stack:
        sides = []
        for name, settings in (("with", with_them), ("without", without)):
            port = free_port()
            command = touchstone("serve", "--port", str(port), "--var", str(settings.var))
            log = base / f"{name}.log"
            running = served(command, port, "/readyz", log, environment_of(settings))
            sides.append(_Side(name, stack.enter_context(running), key))
        for body in bodies[:300]:
            for side in sides:
                side.ask(body)
        for side in sides:
            side.forget()
        for place, body in enumerate(bodies[300:]):
            for side in sides if place % 2 else reversed(sides):
                side.ask(body)
        first, second = sides
        console.print(
            f"[bold]Decisions[/], {len(first.seconds):,} each, one client, in turn "
            f"(load of the machine {os.getloadavg()[0]:.1f}):"
        )
        for side in sides:
            console.print(f"  {side.name:8} p50 {side.p50_ms:.3f} ms, CPU {side.cpu_us():.0f} µs")
        pairs = zip(first.seconds, second.seconds, strict=True)
        more = statistics.median((a - b) * 1000 for a, b in pairs)
        console.print(
            f"  p50 with ÷ without {first.p50_ms / second.p50_ms:.3f}, difference "
            f"{first.p50_ms - second.p50_ms:+.3f} ms (median of the pairs {more:+.3f} ms); "
            f"degraded {first.degraded} and {second.degraded}"
        )


class _Side:
    """One of the two services, and what its answers took."""

    def __init__(self, name: str, service: Served, key: str) -> None:
        self.name = name
        self._service = service
        self._connection = http.client.HTTPConnection(HOST, service.port, timeout=10)
        self._head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.forget()

    def forget(self) -> None:
        """Start to count."""
        self.seconds: list[float] = []
        self.degraded = 0
        self._cpu = self._service.cpu_seconds().get("service", 0.0)

    def ask(self, body: bytes) -> None:
        """Have one event decided, under an id that the other service does not get."""
        event = json.loads(body)
        event["event_id"] += self.name
        raw = json.dumps(event).encode()
        started = time.perf_counter()
        self._connection.request("POST", "/v1/score", raw, self._head)
        answer = self._connection.getresponse()
        content = answer.read()
        self.seconds.append(time.perf_counter() - started)
        assert answer.status == 200, content
        self.degraded += b'"degraded":[]' not in content

    @property
    def p50_ms(self) -> float:
        """The median, in ms."""
        return statistics.median(self.seconds) * 1000

    def cpu_us(self) -> float:
        """CPU of the service for each decision."""
        used = self._service.cpu_seconds().get("service", 0.0) - self._cpu
        return used / len(self.seconds) * 1e6


if __name__ == "__main__":
    raise SystemExit(main())
