"""Can the record be brought back after the loss of its database? `python -m tests.soak drill`.

A service decides while backups are taken; persons are erased, some of them after the last backup.
Then the database is gone. What comes back from the backup must hold every decision that was
answered before it was taken and nobody who was erased, the loss after it must be named, and the
service must refuse to go on as if nothing was lost. After a backup that lost nothing it must run.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.embedded import EmbeddedServers
from service.ledger.report import INCOMPLETE, PROVEN
from service.ledger.verify import verify_log
from service.settings import Settings
from service.signer.errors import LogRolledBack
from tests.events import event
from tests.keeping import checkpointed
from tests.rights import Desks, desks_of
from tests.running import Here, entries, environment_of, service_here, settings_on
from tests.served import touchstone

CLIENTS = 8
COMPLETE, TO_BE_DONE = 0, 1


@dataclass
class Drill:
    """What happened, and every way in which it was not what it should be."""

    answered: dict[str, str] = field(default_factory=dict)
    before_backup: frozenset[str] = frozenset()
    backups: int = 0
    backup_seconds: float = 0.0
    erased: set[str] = field(default_factory=set)
    lost: int = 0
    entries: int = 0
    failures: list[str] = field(default_factory=list)

    def check(self, holds: bool, what: str) -> None:
        """Note a failure."""
        if not holds:
            self.failures.append(what)


@dataclass(frozen=True)
class _Scene:
    """A service in this process, its two people of compliance, and where its backups lie."""

    drill: Drill
    here: Here
    desks: Desks
    backups: Path
    persons: int

    async def traffic(self, events: int) -> None:
        """Send events of the persons who are not erased, several at a time."""
        people = [
            user for user in map("person-{}".format, range(self.persons))
            if user not in self.drill.erased
        ]  # fmt: skip
        numbers = iter(range(events))

        async def client() -> None:
            for number in numbers:
                sent = event("checkout", user={"id": people[number % len(people)]})
                answer = await self.here.client.score(sent)
                assert answer.status == 200, answer.content
                self.drill.answered[answer.json["decision_id"]] = sent["user"]["id"]

        await asyncio.gather(*(client() for _ in range(CLIENTS)))

    async def sign(self) -> None:
        """Place and sign what is there."""
        settings = self.here.settings
        assert settings.postgres.url is not None
        await checkpointed(settings.postgres.url, settings.signer_dir, settings.ledger.log_name)

    async def back_up(self, events: int) -> None:
        """Take a backup as an operator does, while events are decided."""
        self.drill.before_backup = frozenset(self.drill.answered)
        began = time.monotonic()
        done, _ = await asyncio.gather(
            asyncio.to_thread(command, self.here.settings, "backup", str(self.backups)),
            self.traffic(events),
        )
        self.drill.backup_seconds += time.monotonic() - began
        self.drill.backups += 1
        self.drill.check(done.returncode == 0, f"backup: {done.stderr}")

    async def erase(self, persons: int) -> None:
        """Erase some persons, one asks and the other executes."""
        fresh = [
            f"person-{n}" for n in range(self.persons) if f"person-{n}" not in self.drill.erased
        ]
        chosen = fresh[:persons]
        await self.desks.erase(*({"user": user} for user in chosen))
        self.drill.erased.update(chosen)


def command(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the machine on the service of these settings."""
    return subprocess.run(
        touchstone(*words, "--var", str(settings.var)),
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environment_of(settings)},
        capture_output=True,
        text=True,
        check=False,
    )


async def drill(folder: Path, *, rounds: int, events: int, persons: int) -> Drill:
    """Run the drill: `rounds` backups, `events` before, during and after each."""
    found = Drill()
    with EmbeddedServers.start(folder / "servers") as servers:
        settings = settings_on(servers, folder, patient_ms=10_000)
        async with service_here(settings) as here, desks_of(here) as desks:
            scene = _Scene(found, here, desks, folder / "backups", persons)
            for _ in range(rounds):
                await scene.traffic(events)
                await scene.sign()
                await scene.back_up(events)
                await scene.erase(max(1, persons // 20))
            await scene.traffic(events)
            await scene.sign()
        await _lossy(folder / "lossy", settings, scene)
        async with service_here(settings) as here, desks_of(here) as desks:
            scene = _Scene(found, here, desks, folder / "backups", persons)
            await scene.sign()
            await scene.back_up(0)
            await scene.sign()  # the signer knows every entry, the backup's own as well
        await _complete(folder / "complete", settings, scene)
    return found


async def _lossy(base: Path, settings: Settings, scene: _Scene) -> None:
    """Restore a backup that is older than what was signed."""
    found = scene.drill
    with EmbeddedServers.start(base / "servers") as servers:
        restored = _moved(settings, servers)
        done = await asyncio.to_thread(command, restored, "restore", str(scene.backups))
        found.check(done.returncode == TO_BE_DONE, f"lossy: {done.returncode} {done.stderr}")
        told = re.search(r"LOST: ([0-9,]+) entries", done.stdout)
        found.check(told is not None, f"no loss is named: {done.stdout}")
        found.lost = int(told[1].replace(",", "")) if told else 0
        await _is_all_there(restored, found, found.before_backup)
        try:
            async with service_here(restored):
                found.check(False, "the service runs on a database that lacks entries")
        except LogRolledBack:
            pass


async def _complete(base: Path, settings: Settings, scene: _Scene) -> None:
    """Restore a backup of everything that was signed, and go on with it."""
    found = scene.drill
    with EmbeddedServers.start(base / "servers") as servers:
        restored = _moved(settings, servers)
        done = await asyncio.to_thread(command, restored, "restore", str(scene.backups))
        found.check(done.returncode == COMPLETE, f"complete: {done.stdout} {done.stderr}")
        await _is_all_there(restored, found, frozenset(found.answered))
        types = {entry.type for entry in await entries(restored)}
        missing = {"backup.taken", "ledger.restored"} - types
        found.check(not missing, f"not on record: {missing}")
        async with service_here(restored) as here, desks_of(here) as desks:
            on = _Scene(found, here, desks, scene.backups, scene.persons)
            await on.traffic(20)
            await on.sign()
            assert restored.postgres.url is not None
            report = await verify_log(restored.postgres.url)
            found.check(report.exit_code in (PROVEN, INCOMPLETE), report.render())
            for decision_id, user in list(found.answered.items())[:: len(found.answered) // 20 + 1]:
                status = (await here.client.get(f"/v1/decisions/{decision_id}")).status
                found.check(status == 200 or user in found.erased, f"{decision_id}: {status}")


def _moved(settings: Settings, servers: EmbeddedServers) -> Settings:
    """Return the settings with servers that are empty."""
    return settings.model_copy(
        update={
            "postgres": settings.postgres.model_copy(update={"url": servers.postgres_url}),
            "valkey": settings.valkey.model_copy(update={"url": servers.valkey_url}),
        }
    )


async def _is_all_there(settings: Settings, found: Drill, decisions: frozenset[str]) -> None:
    by_id = {entry.entry_id.hex(): entry for entry in await entries(settings)}
    found.entries = len(by_id)
    missing = decisions - by_id.keys()
    found.check(not missing, f"{len(missing)} of {len(decisions)} answered decisions are missing")
    for decision_id in decisions - missing:
        entry, is_erased = by_id[decision_id], found.answered[decision_id] in found.erased
        found.check((entry.subject is None) == is_erased, f"{decision_id}: {entry.subject_state}")


def main(arguments: Sequence[str]) -> int:
    """Run, print what was found, and return 1 when anything is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak drill")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--persons", type=int, default=400)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            drill(Path(folder), rounds=given.rounds, events=given.events, persons=given.persons)
        )
    sys.stdout.write(
        f"  {len(found.answered):,} decisions, {found.backups} backups under load in "
        f"{found.backup_seconds:.0f} s, {len(found.erased)} persons erased; the older backup: "
        f"{found.lost:,} lost entries named, the service refused it; the last: {found.entries:,} "
        f"entries restored, the service runs; {len(found.failures)} failures\n"
    )
    sys.stdout.writelines(f"  {text}\n" for text in found.failures[:10])
    return 1 if found.failures else 0
