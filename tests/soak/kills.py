"""Is an answer that left still there after a crash? `python -m tests.soak kills` (P1).

Clients send events over HTTP and keep what they were answered. Meanwhile a process of the service,
or all of them, is ended with `kill -9`, and PostgreSQL with an immediate stop. What was sent and
not answered is sent again, as callers do. At the end the clients' account is compared with the
ledger. The counterproof is the same on a server whose commits are not durable: there the
comparison must find losses.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import httpx
import psutil

from service.embedded import EmbeddedServers
from service.keys import open_wrapper
from service.ledger.verify import verify_log
from service.settings import Settings
from tests.events import event
from tests.http_client import Client
from tests.running import service_process, settings_on
from tests.served import Served

CLIENTS = 16
# The third kill ends the service; it starts again for the next.
KILLS_OF_ONE = 3
PATIENCE_SECONDS = 240.0
END_SECONDS = 60.0
# The guard of the service asks the server, in whose role's name another function answers.
NOT_DURABLE = """
CREATE SCHEMA pretence;
CREATE FUNCTION pretence.current_setting(text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE $1 WHEN 'synchronous_commit' THEN 'on' ELSE pg_catalog.current_setting($1) END
$$;
CREATE FUNCTION pretence.set_config(text, text, boolean) RETURNS text LANGUAGE sql
    AS $$ SELECT $2 $$;
ALTER ROLE CURRENT_USER SET search_path = pretence, pg_catalog, public;
ALTER ROLE CURRENT_USER SET synchronous_commit = off;
"""


@dataclass
class Account:
    """What clients were told: `answered` maps each event to its decision."""

    answered: dict[str, str] = field(default_factory=dict)
    unanswered: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    broken: int = 0
    contradictions: int = 0
    kills: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Compared:
    """The account against the ledger.

    `lost`: answers that it lacks. `twice`: events that were answered in two ways, or whose answer
    is not the entry that the ledger has for the event. `unanswered`: entries whose answer never
    left (the process was killed before), of events that were sent again and have another entry.
    """

    entries: int
    lost: int
    twice: int
    unanswered: int
    is_whole: bool
    report: str

    @property
    def holds(self) -> bool:
        """Whether every answer is in the ledger, once, and the ledger is whole."""
        return self.is_whole and not self.lost and not self.twice


@contextlib.asynccontextmanager
async def load(served: Served, key: str, account: Account) -> AsyncIterator[None]:
    """Let clients send events as fast as they are answered, until the block ends."""
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(_client(served, key, account)) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            for client in clients:
                client.cancel()


async def _client(served: Served, key: str, account: Account) -> None:
    async with Client(key, port=served.port) as client:
        while True:
            sent = (
                account.unanswered.pop(0)
                if account.unanswered
                else event("checkout", user={"id": f"u-{len(account.answered) % 37}"})
            )
            try:
                answer = await client.score(sent)
            except asyncio.CancelledError:
                account.unanswered.append(sent)
                raise
            except httpx.TransportError:
                account.broken += 1
                account.unanswered.append(sent)
                await asyncio.sleep(0.05)
                continue
            if answer.status != 200:
                assert answer.status in (408, 503), answer.content
                account.refused += 1
                account.unanswered.append(sent)
                await asyncio.sleep(0.02)
                continue
            told = answer.json["decision_id"]
            if account.answered.setdefault(sent["event_id"], told) != told:
                account.contradictions += 1


async def answers(account: Account, more: int) -> None:
    """Wait until this many more events were answered."""
    wanted = len(account.answered) + more
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(account.answered) < wanted:  # noqa: ASYNC110 -- it is polled
            await asyncio.sleep(0.005)


async def service_killed(settings: Settings, log: Path, kills: int, rng: Random) -> Account:
    """Kill the service, or one of its processes, this often under load."""
    account = Account()
    while (left := kills - account.kills.total()) > 0:
        with service_process(settings, log) as (served, key):
            await _every_worker_answers(settings)
            async with load(served, key, account):
                for _ in range(min(left, KILLS_OF_ONE)):
                    await answers(account, rng.randint(5, 80))
                    children = [*filter(_is_ours, served.process.children(recursive=True))]
                    if account.kills.total() % KILLS_OF_ONE < KILLS_OF_ONE - 1:
                        _kill([rng.choice(children)])
                        account.kills["one process"] += 1
                    else:
                        await _kill_service(served.process, children, account, rng)
    await _ask_again(settings, log, account)
    return account


async def postgres_stopped(
    settings: Settings, servers: EmbeddedServers, log: Path, stops: int, rng: Random
) -> Account:
    """Stop PostgreSQL at once, this often, under a service that goes on."""
    account = Account()
    with service_process(settings, log) as (served, key):
        async with load(served, key, account):
            for _ in range(stops):
                await answers(account, rng.randint(20, 200))
                await stop_at_once(servers)
                account.kills["PostgreSQL"] += 1
                await asyncio.sleep(rng.uniform(0.0, 0.5))
                assert servers.postgres is not None
                servers.postgres.start()
                await until_live(served)
            await _until_all_are_answered(account)
    await _ask_again(settings, log, account)
    return account


async def stop_at_once(servers: EmbeddedServers) -> None:
    """End PostgreSQL as `pg_ctl stop -m immediate` does: nothing is flushed."""
    server = servers.postgres
    assert server is not None
    assert server.pid is not None
    os.kill(server.pid, signal.SIGQUIT)
    while server.pid is not None:  # noqa: ASYNC110 -- a process that ends calls nobody
        await asyncio.sleep(0.01)


async def until_live(served: Served) -> None:
    """Wait until the record goes to PostgreSQL again."""
    async with asyncio.timeout(PATIENCE_SECONDS), Client(None, port=served.port) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).status == 200:
                    return
            await asyncio.sleep(0.05)


async def _ask_again(settings: Settings, log: Path, account: Account) -> None:
    """Start once more, so that what dead workers spooled is taken up; send what has no answer."""
    with service_process(settings, log) as (served, key):
        async with load(served, key, account):
            await _until_all_are_answered(account)


async def _until_all_are_answered(account: Account) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while account.unanswered:  # noqa: ASYNC110 -- it is polled
            await asyncio.sleep(0.01)
    await answers(account, 2 * CLIENTS)


async def compared(settings: Settings, account: Account) -> Compared:
    """Compare what clients were told with the ledger, and look whether that is whole."""
    assert settings.postgres.url is not None
    report = await verify_log(
        settings.postgres.url, wrapper=open_wrapper(settings), spool_dir=settings.var / "spool"
    )
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        rows = await connection.fetch("SELECT entry_id, event_key FROM ledger_entry")
    finally:
        await connection.close()
    there = {row["entry_id"].hex(): row["event_key"] for row in rows}
    told = account.answered.values()
    return Compared(
        entries=len(rows),
        lost=sum(decision not in there for decision in told),
        twice=account.contradictions
        + sum(decision in there and there[decision] is None for decision in told),
        unanswered=report.superseded,
        is_whole=report.exit_code == 0,
        report=report.render(),
    )


async def made_forgetful(settings: Settings) -> None:
    """Make commits of every later session not durable, unseen by the guard of the service."""
    assert settings.postgres.url is not None
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        await connection.execute(NOT_DURABLE)
    finally:
        await connection.close()


async def _every_worker_answers(settings: Settings) -> None:
    """Wait: a service one of whose first workers dies at its start gives up, as it should."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (settings.var / "run" / "service.json").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _kill_service(
    supervisor: psutil.Process, children: list[psutil.Process], account: Account, rng: Random
) -> None:
    """Kill all processes at once, or the supervisor alone: the others then end by themselves."""
    if rng.random() < 0.5:
        account.kills["supervisor"] += 1
        _kill([supervisor])
        async with asyncio.timeout(END_SECONDS):
            while any(map(_runs, children)):  # noqa: ASYNC110 -- it is polled
                await asyncio.sleep(0.05)
    else:
        account.kills["all processes"] += 1
        _kill([supervisor, *children])


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_ours(process: psutil.Process) -> bool:
    """Leave out the resource tracker of multiprocessing, which does nothing for the service."""
    return _runs(process) and not any("resource_tracker" in word for word in process.cmdline())


async def run(folder: Path, kills: int, stops: int, counterproofs: int, seed: int) -> bool:
    """Run all parts, say what was found, and return whether it holds."""
    rng = Random(seed)
    found: list[bool] = []
    log = folder / "service.log"
    if kills:
        with EmbeddedServers.start(folder / "servers") as servers:
            settings = settings_on(servers, folder, patient_ms=10_000)
            began = time.monotonic()
            account = await service_killed(settings, log, kills, rng)
            found.append(_said("kill -9", began, account, await compared(settings, account)))
    for name, spool_bytes in (("with spool", 1 << 26), ("without spool", 0)) if stops else ():
        with EmbeddedServers.start(folder / name / "servers") as servers:
            settings = settings_on(
                servers, folder / name, patient_ms=10_000, ledger={"spool_max_bytes": spool_bytes}
            )
            began = time.monotonic()
            account = await postgres_stopped(settings, servers, log, (stops + 1) // 2, rng)
            title = f"immediate stop of PostgreSQL, {name}"
            found.append(_said(title, began, account, await compared(settings, account)))
    if not counterproofs:
        return all(found)
    with EmbeddedServers.start(folder / "forgetful" / "servers") as servers:
        settings = settings_on(servers, folder / "forgetful", patient_ms=10_000)
        await made_forgetful(settings)
        began = time.monotonic()
        account = await postgres_stopped(settings, servers, log, counterproofs, rng)
        last = await compared(settings, account)
        _said("counterproof, synchronous_commit=off (losses must be seen)", began, account, last)
        found.append(last.lost > 0)
    return all(found)


def _said(title: str, began: float, account: Account, last: Compared) -> bool:
    kills = ", ".join(f"{number} {what}" for what, number in sorted(account.kills.items()))
    sys.stdout.write(
        f"  {title} ({kills}): {len(account.answered):,} events answered, {account.broken:,} "
        f"connections broken, {account.refused:,} turned away; {last.lost} answers lost, "
        f"{last.twice} twice, {last.unanswered} left unanswered and sent again, "
        f"ledger of {last.entries:,} entries "
        f"{'whole' if last.is_whole else 'NOT whole'} ({time.monotonic() - began:.0f} s)\n"
    )
    if not last.is_whole:
        sys.stdout.write(f"{last.report}\n")
    sys.stdout.flush()
    return last.holds


def main(arguments: Sequence[str]) -> int:
    """Run and return 1 when an answer was lost, or when the counterproof lost none."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak kills")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--stops", type=int, default=30)
    parser.add_argument("--counterproofs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        holds = asyncio.run(
            run(Path(folder), given.kills, given.stops, given.counterproofs, given.seed)
        )
    return 0 if holds else 1
