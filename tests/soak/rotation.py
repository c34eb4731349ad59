"""Does a key ever fail a caller when it is replaced? `python -m tests.soak rotation`.

A service of two workers decides for clients all the while; keys of many persons are stored. The
commands that an operator runs replace the key-encryption key (KEK) again and again, then month
keys, keys of persons and the signing key. Nobody may be refused, and in the end everything has to
open with the last KEK alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx

from service.embedded import attach_or_start
from service.keys import open_wrapper
from service.launch import RunningService, running_service
from service.ledger.keys import Keyring
from service.settings import Settings
from tests.events import event

CLIENTS = 8
# Commands take seconds of processor time each: beside clients that never wait they take minutes.
PAUSE_SECONDS = 0.05
# The machine runs other things as well: a slow answer is no refusal.
PATIENT = {"TOUCHSTONE_HTTP__BUDGET_MS": "5000", "TOUCHSTONE_VALKEY__BUDGET_MS": "2000"}


@dataclass
class Load:
    """What the clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)

    def milliseconds(self, share: float) -> float:
        """Return a quantile of the answers' times."""
        cuts = statistics.quantiles(self.seconds, n=1000)
        return cuts[min(int(share * 1000), len(cuts)) - 1] * 1000


@dataclass(frozen=True)
class Proof:
    """What was found."""

    quiet: Load
    rotating: Load
    rewrapped_rows: int
    rounds_seconds: list[float]
    foreign: int
    verified: int
    verify_said: str
    unread: int
    files: str


def client_of(service: RunningService, key: str) -> httpx.AsyncClient:
    """Return a client of the service."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60)


@asynccontextmanager
async def loaded(service: RunningService, key: str) -> AsyncIterator[Load]:
    """Have clients ask while the block runs."""
    load, stop = Load(), asyncio.Event()

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        while not stop.is_set():
            number += CLIENTS
            body = event("checkout", user={"id": f"u-{number % 997}-{number // 5000}"})
            began = time.perf_counter()
            answer = await client.post("/v1/score", json=body)
            load.seconds.append(time.perf_counter() - began)
            load.statuses[answer.status_code] += 1
            if answer.status_code == httpx.codes.OK:
                load.decisions.append(answer.json()["decision_id"])
            await asyncio.sleep(PAUSE_SECONDS)

    async with (
        client_of(service, key) as client,
        asyncio.TaskGroup() as group,
    ):
        for number in range(CLIENTS):
            group.create_task(ask(client, number))
        try:
            yield load
        finally:
            stop.set()


def command(service: RunningService, *words: str) -> subprocess.CompletedProcess[str]:
    """Run an installed command beside the service."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *words, "--var", str(service.var)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **PATIENT, "NO_COLOR": "1", "COLUMNS": "200"},
    )


async def run(service: RunningService, *words: str) -> str:
    """Run a command, beside the load; raise what it said when it fails."""
    done = await asyncio.to_thread(command, service, *words)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


async def prove(
    base: Path, *, rounds: int, persons: int, quiet_seconds: float, at_length: bool = True
) -> Proof:
    """Rotate under load and return what was seen; `at_length` every key, read by a later start."""
    var = base / "var"
    settings = Settings(var=var)
    with running_service(var, workers=2, environment=PATIENT) as service:
        key = (
            await run(
                service, "keys", "create", "--name", "soak", "--scopes", "score,decisions:read"
            )
        ).strip()
        with attach_or_start(var, valkey=False) as urls:
            dsn = str(urls.postgres_url)
            await _store_persons(settings, dsn, persons)
            async with loaded(service, key) as quiet:
                await asyncio.sleep(quiet_seconds)
            took = []
            async with loaded(service, key) as rotating:
                for number in range(rounds):
                    began = time.monotonic()
                    await run(service, "ledger", "rotate-keys", "kek")
                    took.append(time.monotonic() - began)
                    if number == 0:
                        for which in ("signing", "month", "subject")[: 3 if at_length else 1]:
                            await run(service, "ledger", "rotate-keys", which)
                await asyncio.sleep(quiet_seconds / 2)
            files = await run(service, "keys", "files")
            for path in (var / "keys").glob("kek.key.*"):
                path.unlink()
            rows, foreign = await _wrapped(settings, dsn)
        verified = await asyncio.to_thread(command, service, "ledger", "verify")
        decisions = (quiet.decisions + rotating.decisions)[::20]
        if not at_length:
            unread = await _unread(service, key, decisions)
    if at_length:
        with running_service(var, workers=1, environment=PATIENT) as service:
            unread = await _unread(service, key, decisions)
    return Proof(
        quiet, rotating, rows, took, foreign, verified.returncode,
        verified.stdout + verified.stderr, unread, files,
    )  # fmt: skip


async def _store_persons(settings: Settings, dsn: str, persons: int) -> None:
    """Store keys of so many persons, as their entries would have."""
    ring = Keyring(open_wrapper(settings), max_subjects=1)
    connection = await asyncpg.connect(dsn)
    try:
        for begin in range(0, persons, 10_000):
            keys = [
                ring.subject_key(f"user:stored-{number}")
                for number in range(begin, min(begin + 10_000, persons))
            ]
            await connection.copy_records_to_table(
                "subject_key",
                records=[(key.key_id, key.subject_tag, key.wrapped) for key in keys],
                columns=["key_id", "subject_tag", "wrapped"],
            )
    finally:
        await connection.close()


async def _wrapped(settings: Settings, dsn: str) -> tuple[int, int]:
    """Return how many keys are stored, and how many of them the KEK of the key file did not wrap.

    Every one is opened.
    """
    held = open_wrapper(settings)
    ring, total, foreign = Keyring(held), 0, 0
    connection = await asyncpg.connect(dsn)
    try:
        for row in await connection.fetch("SELECT name, wrapped FROM ledger_key"):
            ring.open_month_key(row["name"], row["wrapped"])
            total += 1
        async with connection.transaction():
            async for row in connection.cursor(
                "SELECT key_id, subject_tag, wrapped FROM subject_key"
            ):
                ring.open_subject_key(*row)
                total += 1
                foreign += row["wrapped"][1:9] != held.kek_id
    finally:
        await connection.close()
    return total, foreign


async def _unread(service: RunningService, key: str, decisions: Sequence[str]) -> int:
    async with client_of(service, key) as client:
        answers = [await client.get(f"/v1/decisions/{one}") for one in decisions]
    return sum(answer.status_code != httpx.codes.OK for answer in answers)


def main(arguments: Sequence[str]) -> int:
    """Prove it at length; one line for each figure. Return 0 when nobody was refused."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak rotation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="rotations of the KEK")
    parser.add_argument("--persons", type=int, default=100_000, help="stored keys of persons")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="touchstone-rotation-") as base:
        found = asyncio.run(
            prove(Path(base), rounds=chosen.rounds, persons=chosen.persons, quiet_seconds=10)
        )
    _say(found, chosen.rounds)
    return 0 if holds(found) else 1


def _say(found: Proof, rounds: int) -> None:
    asked, statuses = len(found.rotating.seconds), found.rotating.statuses
    took = statistics.median(found.rounds_seconds)
    times = [
        f"{name} {load.milliseconds(0.5):.1f} / {load.milliseconds(0.99):.1f}"
        for name, load in (("quiet", found.quiet), ("rotating", found.rotating))
    ]
    for line in (
        f"{rounds} rotations of the KEK, {found.rewrapped_rows:,} stored keys, {took:.1f} s each",
        f"{asked:,} answers while keys were replaced, not 200: {asked - statuses.get(200, 0)}",
        f"times of answers, p50 / p99 in ms: {', '.join(times)}",
        f"keys that the last KEK did not wrap: {found.foreign}",
        f"decisions that a later start could not read: {found.unread}",
        f"ledger verify: exit {found.verified}",
    ):
        sys.stdout.write(f"  {line}\n")


def holds(found: Proof) -> bool:
    """Whether nobody was refused, and everything opens with the last KEK."""
    return (
        set(found.quiet.statuses) == set(found.rotating.statuses) == {200}
        and not found.foreign
        and not found.unread
        and found.verified == 0
    )
