"""Does the service see what history says it saw? `python -m tests.soak parity`.

A seeded stream of mixed events, with ties, repeats and events that are only counted, goes over HTTP
into a service of its own on a real Valkey and PostgreSQL. Then three accounts of the same past are
compared, bit for bit: the facts sealed in the ledger, the offline executor, and an oracle that
re-scans everything. The raw events as a file must give the history that the ledger gives, too.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import orjson
import polars as pl

from features.catalog import Catalog
from features.history import COLUMNS, HistoryEvent
from service.embedded import EmbeddedServers
from service.history.reader import LedgerHistory, Span
from service.ledger.keys import FileKek, Keyring
from service.secrets_files import read_keys
from service.settings import Settings
from tests.http_client import Client
from tests.offline import Known, history_at, walked
from tests.oracles.velocity_oracle import VelocityOracle
from tests.running import TAG_KEY, service_process, settings_on
from training.command_train import currencies_of
from training.offline.declared import feature_types, series_of
from training.offline.events import convert_events
from training.offline.history_file import open_history
from training.offline.run import compute_features
from training.simulator.stream import Traffic, simulate

TIES, REPEATS, ONLY_COUNTED = 0.25, 0.03, 0.1  # shares of the events
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 45
SHOWN = 10

Body = dict[str, Any]


@dataclass
class Parity:
    """What was compared, and every difference found (`differences` holds the first of them)."""

    events: int = 0
    decided: int = 0
    repeats: int = 0
    ties: int = 0
    values: int = 0
    serving_seconds: float = 0.0
    differing: int = 0
    differences: list[str] = field(default_factory=list)

    def compare(self, where: str, name: str, first: object, second: object) -> None:
        """Count a value that must be equal in both accounts, in type and to the last bit."""
        self.values += 1
        if type(first) is not type(second) or first != second:
            self.differing += 1
            if len(self.differences) < SHOWN:
                self.differences.append(f"{where}: {name} is {first!r} and {second!r}")


def stream(events: int, seed: int) -> Iterator[tuple[str, Body]]:
    """Yield (path, body) of every request: simulated events, some at one moment, some repeated."""
    rng = Random(seed)
    sent: list[tuple[str, Body]] = []
    last: str | None = None
    for labelled in simulate(Traffic(events, seed, UNTIL - timedelta(days=DAYS), UNTIL)):
        body = dict(labelled.event)
        if last is not None and rng.random() < TIES:
            body["occurred_at"] = last
        elif last is not None:
            body["occurred_at"] = max(last, body["occurred_at"])
        last = body["occurred_at"]
        request = ("/v1/events" if rng.random() < ONLY_COUNTED else "/v1/score", body)
        sent.append(request)
        yield request
        if rng.random() < REPEATS:
            yield rng.choice(sent[-50:])


async def parity(events: int, seed: int, folder: Path, *, naive: bool = True) -> Parity:
    """Run the stream through a service under `folder` and compare the accounts."""
    found = Parity()
    with EmbeddedServers.start(folder / "servers") as servers:
        settings = settings_on(servers, folder, patient_ms=10_000, clock="event")
        with service_process(settings, folder / "service.log", workers=1) as (served, key):
            began = time.perf_counter()
            async with Client(key, port=served.port) as client:
                bodies = await _sent(client, stream(events, seed), found)
            found.serving_seconds = time.perf_counter() - began
        history = await _history(settings)
    found.events = len(history)
    found.ties = sum(a.observed_ms == b.observed_ms for a, b in itertools.pairwise(history))
    catalog = Catalog.load()
    _compare_facts(found, catalog, history, folder, naive=naive)
    _compare_rows(found, settings, history, bodies, folder)
    return found


async def _sent(client: Client, requests: Iterator[tuple[str, Body]], found: Parity) -> list[Body]:
    """Send every request in order; return the bodies, repeats left out."""
    bodies: dict[str, Body] = {}
    for path, body in requests:
        answer = await client.score(body, path)
        assert answer.status in (200, 202), answer.content
        assert "velocity" not in answer.json["degraded"], answer.json
        found.repeats += body["event_id"] in bodies
        bodies[body["event_id"]] = body
    return list(bodies.values())


async def _history(settings: Settings) -> list[HistoryEvent]:
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        ring = Keyring(FileKek(read_keys(settings).kek))
        ledger = LedgerHistory(connection, ring, settings.ledger.log_name)
        return [event async for page in ledger.pages(Span()) for event in page.events]
    finally:
        await connection.close()


def _compare_facts(
    found: Parity, catalog: Catalog, history: list[HistoryEvent], folder: Path, *, naive: bool
) -> None:
    """Ledger against executor for every feature; executor against oracle for those of series."""
    path = history_at(folder / "history.parquet", history)
    out = folder / "features.parquet"
    compute_features(open_history(path, max(1, len(history) // 3)), out, catalog)
    names = list(feature_types(catalog))
    of_series = {name for declared in series_of(catalog) for name in declared.plan.features}
    rows = pl.read_parquet(out).iter_rows(named=True)
    oracle: Iterator[Known | None] = itertools.repeat(None)
    if naive:
        oracle = walked(catalog, history, VelocityOracle())
    for event, row, scanned in zip(history, rows, oracle, strict=False):
        where = f"event {event.position} ({event.fields['event.type']})"
        found.decided += bool(event.facts)
        for name in names:
            if event.facts:
                found.compare(
                    f"{where}, ledger and executor", name, event.facts.get(name), row[name]
                )
            if scanned is not None and name in of_series:
                found.compare(f"{where}, oracle and executor", name, scanned.get(name), row[name])


def _compare_rows(
    found: Parity, settings: Settings, history: list[HistoryEvent], bodies: list[Body], folder: Path
) -> None:
    """The history of the raw events against that of the ledger, but for what deciding added."""
    raw, out = folder / "events.jsonl", folder / "converted.parquet"
    raw.write_bytes(b"\n".join(map(orjson.dumps, bodies)))
    convert_events([raw], out, currencies_of(settings.shop), TAG_KEY)
    rows = pl.read_parquet(out).to_dicts()
    found.compare("both histories", "the number of rows", len(history), len(rows))
    for event, row in zip(history, rows, strict=False):
        known = event.row()
        for name in COLUMNS:
            if name not in ("position", "outcome"):
                where = f"event {event.position}, ledger and file"
                found.compare(where, name, known[name], row[name])


def main(arguments: Sequence[str]) -> int:
    """Run, print what was compared, and return 1 when anything differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak parity")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(parity(options.events, options.seed, Path(folder)))
    sys.stdout.write(
        f"{found.events:,} events ({found.decided:,} decided, {found.ties:,} at the moment of the "
        f"one before, {found.repeats:,} repeats) in {found.serving_seconds:.0f} s; "
        f"{found.values:,} values compared, {found.differing:,} differ\n"
    )
    sys.stdout.writelines(f"  {text}\n" for text in found.differences)
    return 1 if found.differing else 0
