"""Are all decisions equal when they are computed again? `python -m tests.soak replay`.

A shop's traffic is decided by a service that changes while it works: another bundle, another rule
set for half of the people and then for all, a stopped rule, people who asked for a human, counters
that are away. Then every decision is computed again from its entry alone, and compared to the bit.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from rules.files import RuleSetFiles
from service.audit.replay_run import replay_span
from service.audit.replay_tally import ReplayTally
from service.bundle import CURRENT_FILE, MANIFEST_FILE, Calibration, current_bundle, parse_manifest
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.backtests import SINCE, candidate_of, shipped, traffic
from tests.deploying import approved, deploy, stop
from tests.running import Here, service_here, settings_on
from tests.served import free_port

STOPPED = "test-first-login"
FLAGGED = 3  # every third person
PATIENCE_SECONDS = 20


@dataclass(slots=True)
class Figures:
    """What was decided, and what came of computing it again."""

    decided: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    rule_sets: set[str] = field(default_factory=set)
    bundles: set[str] = field(default_factory=set)
    capped: int = 0
    stopped: int = 0
    without_velocity: int = 0
    seconds: float = 0.0
    tally: ReplayTally = field(default_factory=ReplayTally)

    def note(self, answer: dict[str, Any]) -> None:
        self.decided += 1
        self.outcomes[answer["outcome"]] += 1
        self.rule_sets.add(answer["versions"]["rule_set"])
        self.bundles.add(answer["versions"]["bundle"])
        self.capped += any(r["code"] == "HUMAN_REVIEW_ASKED" for r in answer["reasons"])
        self.stopped += any(hit["mode"] == "stopped" for hit in answer["rule_hits"])
        self.without_velocity += "velocity" in answer["degraded"]


def strict(files: RuleSetFiles) -> RuleSetFiles:
    """The rule set, with a pack of its own that declines where it asked for a challenge."""
    own = files.texts["packs/tests.yaml"].replace("outcome: challenge", "outcome: decline")
    return RuleSetFiles.of({**files.texts, "packs/tests.yaml": own})


async def replayed(events: int, seed: int, settings: Settings) -> Figures:
    """Decide the traffic on the stores of `settings`, with the clock of the events."""
    found = Figures()
    bodies = list(traffic(events, seed))
    part = len(bodies) // 5
    phases = [bodies[at : at + part] for at in range(0, 4 * part, part)]
    phases.append(bodies[4 * part :])
    candidate = strict(candidate_of(shipped()))
    async with service_here(settings) as here:
        await _decided(here, phases[0], found)
        connection = await asyncpg.connect(settings.postgres.url)
        await approved(connection, candidate)
        await deploy(connection, "rollout", candidate, 5_000)
        await stop(connection, STOPPED)
        await _flag(here, connection, bodies)
        await connection.close()
        await _until_deployed(here)
        await _decided(here, phases[1], found)
    _another_bundle(settings)
    async with service_here(settings) as here:
        await _until_deployed(here)
        await _decided(here, phases[2], found)
        connection = await asyncpg.connect(settings.postgres.url)
        await deploy(connection, "activate", candidate)
        await connection.close()
        await _decided(here, phases[3], found)
    away = settings.valkey.model_copy(
        update={"url": f"redis://127.0.0.1:{free_port()}", "budget_ms": 5}
    )
    async with service_here(settings.model_copy(update={"valkey": away})) as here:
        await _decided(here, phases[4][: part // 5], found)
    async with service_here(settings) as here:
        await _decided(here, phases[4][part // 5 :], found)
    found.tally, found.seconds = await again(settings)
    return found


async def again(settings: Settings, processes: int | None = None) -> tuple[ReplayTally, float]:
    """Compute everything again; return what came of it and the seconds that it took."""
    assert settings.postgres.url is not None
    began = time.perf_counter()
    tally = await replay_span(
        settings, settings.postgres.url, None, None, None, lambda *_: None, processes
    )
    return tally, time.perf_counter() - began


async def _decided(here: Here, bodies: Sequence[dict[str, Any]], found: Figures) -> None:
    for body in bodies:
        answer = await here.client.score(body)
        assert answer.status == 200, answer.content
        found.note(answer.json)


async def _flag(here: Here, connection: Any, bodies: Sequence[dict[str, Any]]) -> None:
    """Put a third of all people on the list, since before these events, whose clock is behind."""
    busy = Counter(body["user"]["id"] for body in bodies if "user" in body)
    tagger = here.runtime.brain.tagger
    await connection.execute(
        "INSERT INTO list (name, purpose, description, actor) "
        "VALUES ('human_review', 'watch', 'test', 'test')"
    )
    await connection.execute(
        "INSERT INTO list_entry (list, kind, tag, reason, owner, added_by, added_at) "
        "SELECT 'human_review', 'user', tag, 'test', 'test', 'test', $2 "
        "FROM unnest($1::text[]) AS tag",
        [tagger.tag("user", user) for user, _ in busy.most_common()[::FLAGGED]],
        SINCE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not len(here.runtime.lists):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)


async def _until_deployed(here: Here) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while here.runtime.brain.rollout is None or not here.runtime.brain.stopped:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)


def _another_bundle(settings: Settings) -> None:
    """Make a bundle current that gives every score another value."""
    bundles = settings.var / "bundles"
    directory = current_bundle(settings.var)
    assert directory is not None
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes(), directory)
    table = manifest.calibration
    lower = Calibration(x=table.x, y=tuple(value * 0.9 for value in table.y))
    content = manifest.model_copy(update={"calibration": lower}).to_bytes()
    name = hashlib.sha256(content).hexdigest()[:16]
    shutil.copytree(directory, bundles / name)
    (bundles / name / MANIFEST_FILE).write_bytes(content)
    (bundles / CURRENT_FILE).write_text(name, encoding="utf-8")


async def run(events: int, seed: int) -> int:
    """Print the figures; return 0 when every decision is equal and a fault is seen."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers.start(Path(folder) / "servers") as servers,
    ):
        settings = settings_on(servers, Path(folder), patient_ms=10_000, clock="event")
        found = await replayed(events, seed, settings)
        one, seconds = await again(settings, processes=1)
    tally = found.tally
    for name, value in (
        ("decisions", found.decided),
        ("equal", tally.equal),
        ("differing", tally.differing),
        ("not computed", tally.total - tally.equal - tally.differing),
        ("outcomes", dict(found.outcomes)),
        ("rule sets, bundles", f"{len(found.rule_sets)}, {len(found.bundles)}"),
        ("capped at review", found.capped),
        ("with a stopped rule", found.stopped),
        ("without counters", found.without_velocity),
        ("seconds by two processes, by one", f"{found.seconds:.1f}, {seconds:.1f}"),
    ):
        sys.stdout.write(f"  {name}: {value}\n")
    is_whole = found.decided == tally.equal == one.equal == tally.total
    return 0 if is_whole and found.capped and found.stopped and found.without_velocity else 1


def main(arguments: Sequence[str]) -> int:
    """Run the proof."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak replay", description=__doc__)
    parser.add_argument("--events", type=int, default=10_100)
    parser.add_argument("--seed", type=int, default=11)
    chosen = parser.parse_args(arguments)
    return asyncio.run(run(chosen.events, chosen.seed))
