"""Traffic for a service whose velocity store is lost, and a twin that never lost anything."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import yaml

from features.catalog import DEFAULT_PATH, Catalog
from features.entities import entities_of
from features.event import parse_event
from features.fields import fields_of
from features.observe import ask
from features.series_identity import declared_series
from features.velocity.connection import ValkeyConnection
from features.velocity.history_store import ValkeyVelocityHistory
from features.velocity.memory_store import MemoryVelocityStore
from features.velocity.observation import (
    EntityObservation,
    Observation,
    SeriesPlan,
    SeriesRead,
)
from service.completeness import now_ms
from service.embedded import EmbeddedServers
from service.ledger.reader import FoundEntry
from service.settings import Settings
from tests.events import event
from tests.running import Here, entries, environment_of, settings_on
from tests.served import touchstone

PATIENT_MS = 10_000  # time is not the matter of these tests
# A restoration waits as long as a request may take; on a loaded machine one takes a second.
COMMAND_BUDGET_MS = 1_000
TYPES = ("login", "checkout", "payment", "coupon_redemption", "return_request", "signup")


def settings_for(
    servers: EmbeddedServers,
    base: Path,
    valkey_url: str,
    postgres_url: str,
    catalog: Path | None = None,
) -> Settings:
    """Settings of a service on a Valkey and a database of its own."""
    settings = settings_on(servers, base, patient_ms=PATIENT_MS, catalog=catalog)
    return settings.model_copy(
        update={
            "valkey": settings.valkey.model_copy(update={"url": valkey_url}),
            "postgres": settings.postgres.model_copy(update={"url": postgres_url}),
        }
    )


def catalog_with(path: Path, *series: dict[str, Any]) -> Path:
    """Write the shipped catalog with further series, which the model does not see."""
    content = yaml.safe_load(DEFAULT_PATH.read_text("utf-8"))
    content["series"] += [{**one, "model": False} for one in series]
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


class Traffic:
    """One caller after another: the order in which they are answered is that of acceptance."""

    def __init__(self, here: Here, seed: int, sent: dict[str, dict[str, Any]]) -> None:
        self._here = here
        self._random = random.Random(seed)
        self.sent = sent  # event id -> body
        self.statuses: set[int] = set()

    async def send(self, type_: str | None = None, **parts: Any) -> dict[str, Any]:
        """Score one event of a few people, devices and networks, and return the answer."""
        body = self._event(type_ or self._random.choice(TYPES)) | parts
        self.sent[body["event_id"]] = body
        answer = await self._here.client.score(body)
        self.statuses.add(answer.status)
        return answer.json if answer.status == 200 else {}

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Keep sending until the block ends."""
        over = asyncio.Event()
        task = asyncio.create_task(self._run(over))
        try:
            yield
        finally:
            over.set()
            await task

    async def _run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await self.send()
            await asyncio.sleep(self._random.choice((0, 0.005, 0.02)))

    def _event(self, type_: str) -> dict[str, Any]:
        pick = self._random.choice
        amount = pick((900, 5000, 12050))
        order = {"id": "o-1", "amount_minor": amount, "currency": "CNY"}
        parts: dict[str, Any] = {
            "user": {"id": f"u-{pick(range(5))}", "email": f"u{pick(range(4))}@example.com"},
            "device": {"id": f"dev-{pick(range(4))}"},
            "network": {"ip": f"203.0.113.{pick(range(3))}"},
        }
        if type_ == "login":
            parts["login"] = {"succeeded": pick((True, False)), "method": "password"}
        elif type_ == "coupon_redemption":
            parts["coupon"] = {"campaign": pick(("NEW50", "VIP")), "value_minor": amount}
        elif type_ == "checkout":
            parts["order"] = order
        elif type_ == "payment":
            outcome = pick(("authorized", "declined"))
            instrument = f"tok_{pick(range(3))}"
            parts |= {"order": order}
            parts["payment"] = {"method": "card", "instrument": instrument, "outcome": outcome}
        return event(type_, **parts)


def wrong_answers(
    here: Here, catalog: Catalog, found: list[FoundEntry], sent: Mapping[str, dict[str, Any]]
) -> dict[str, list[str]]:
    """Compare every entry with a store that was never lost; entry id -> facts that differ.

    The twin counts the events themselves, as they were sent, in process.
    """
    brain, twin = here.runtime.brain, MemoryVelocityStore()
    names = {name for one in declared_series(catalog).values() for name in one.plan.features}
    differences: dict[str, list[str]] = {}
    for one in sorted(found, key=lambda one: (one.subject or {})["observed_ms"]):
        assert one.core is not None
        assert one.subject is not None
        answer = one.core["answer"]
        body = parse_event(orjson.dumps(sent[one.subject["event_id"]]))
        asked = ask(
            catalog.plan(body.type),
            entities_of(body, brain.tagger),
            fields_of(body, brain.currencies),
            brain.tagger,
            one.entry_id.hex(),
            one.subject["observed_ms"],
        )
        expected = twin.observe_now(asked.observation)
        facts = {k: v for k, v in one.subject["facts"].items() if k in names}
        if facts != expected:
            differences[one.entry_id.hex()] = [
                f"{name}: {facts.get(name)}, not {expected.get(name)}"
                for name in sorted(names)
                if facts.get(name) != expected.get(name)
            ]
        later = asked.recorded_by(answer["outcome"])
        if later is not None:
            twin.observe_now(later)
    return differences


async def wrong_counters(
    here: Here, catalog: Catalog, found: list[FoundEntry], valkey_url: str
) -> list[str]:
    """Compare every series of every entity with what the ledger's entries make of it."""
    tagger, twin, at_ms = here.runtime.brain.tagger, MemoryVelocityStore(), now_ms()
    entities: dict[tuple[str, str], dict[str, SeriesPlan]] = {}
    for one in found:
        assert one.subject is not None
        assert one.core is not None
        tags, fields = one.subject["tags"], one.subject["fields"]
        plan, name = catalog.plan(fields["event.type"]), one.entry_id.hex()
        asked = ask(plan, tags, fields, tagger, name, one.subject["observed_ms"])
        later = asked.recorded_by(one.core["answer"]["outcome"])
        for observation in (asked.observation, *([] if later is None else [later])):
            twin.observe_now(observation)
            for kind, tag, reads in observation.entities:
                entities.setdefault((kind, tag), {}).update({r.plan.name: r.plan for r in reads})
    connection = ValkeyConnection(valkey_url)
    wrong = []
    try:
        velocity = ValkeyVelocityHistory(connection)
        for (kind, tag), plans in entities.items():
            for name, plan in plans.items():
                read = EntityObservation(kind, tag, (SeriesRead(plan, None),))
                expected = twin.observe_now(Observation(f"read {name}", at_ms, (read,)))
                answers = (await velocity.peek(kind, tag, plan, at_ms, 10)).answers
                if answers != expected:
                    wrong.append(f"{name} of {kind}: {answers}, not {expected}")
    finally:
        await connection.close()
    return wrong


async def recorded(settings: Settings) -> list[FoundEntry]:
    """Every entry of an event, in the order of acceptance."""
    found = [entry for entry in await entries(settings) if entry.type in ("decision", "event")]
    return sorted(found, key=lambda one: (one.subject or {})["observed_ms"])


def command(settings: Settings, *words: str) -> list[str]:
    """The command line of a command for these settings."""
    return [*touchstone("features", *words), "--var", str(settings.var)]


def environment(settings: Settings, budget_ms: int = COMMAND_BUDGET_MS) -> dict[str, str]:
    """The environment of a command for these settings."""
    more = {"TOUCHSTONE_HTTP__BUDGET_MS": str(budget_ms)}
    if settings.catalog is not None:
        more["TOUCHSTONE_CATALOG"] = str(settings.catalog)
    return os.environ | environment_of(settings) | more


async def run(
    settings: Settings, *words: str, budget_ms: int = COMMAND_BUDGET_MS
) -> subprocess.CompletedProcess[str]:
    """Run `touchstone features ...` beside the service and return how it ended."""
    return await asyncio.to_thread(
        subprocess.run,
        command(settings, *words),
        env=environment(settings, budget_ms),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
