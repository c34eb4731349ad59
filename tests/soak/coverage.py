"""How long is an answered decision without a signed checkpoint? In a running service, under load.

`follow` sends decisions from several callers, kills sequencer and signer as it is told, and says
for each answer how long it took until a published checkpoint covered it. Invariant: a checkpoint
counts only once its root was computed anew from the stored headers and its signature verified.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from service.embedded import EmbeddedServers
from service.ledger.note import parse_checkpoint, parse_note, parse_vkey, verify_note
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.settings import Settings
from tests.events import event
from tests.running import service_process, settings_on

CALLERS = 4
MOST_SECONDS = 10.0
PATIENCE_SECONDS = 30.0

_HEADERS = """
SELECT leaf.entry_id, entry.header FROM ledger_leaf leaf JOIN ledger_entry entry USING (entry_id)
ORDER BY leaf.idx
"""
_NOTES = "SELECT id, note FROM ledger_checkpoint WHERE id > $1 ORDER BY id"


@dataclass
class Followed:
    """When answers left (by entry id), and when which size was seen to be signed."""

    answered: dict[bytes, float] = field(default_factory=dict)
    signed: list[tuple[float, int, bytes]] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def uncovered(self) -> int:
        """Answers that no checkpoint covers."""
        return len(self.answered) - len(self.waits)

    def __str__(self) -> str:
        waits = sorted(self.waits) or [float("nan")]
        return (
            f"{len(self.answered)} answers, {len(self.signed)} checkpoints, "
            f"{len(self.killed)} kills; covered after {waits[len(waits) // 2]:.1f} s (median), "
            f"{waits[-1]:.1f} s (longest); uncovered: {self.uncovered}"
        )


async def follow(settings: Settings, log: Path, seconds: float, kills: Sequence[str]) -> Followed:
    """Run the service under load for so long, killing these processes at even distances.

    `kills`: `service.sequencer` and `service.signer`. Raises `NoteInvalid` for a checkpoint whose
    signature does not hold; the roots are compared by assertion.
    """
    followed = Followed()
    with service_process(settings, log, workers=1) as (running, key):
        connection = await asyncpg.connect(settings.postgres.url)
        stop = asyncio.Event()
        watching = asyncio.create_task(_watch(connection, followed, stop))
        ending = time.monotonic() + seconds
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{running.port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        ) as client:
            calling = [asyncio.create_task(_call(client, followed, ending)) for _ in range(CALLERS)]
            for name in kills:
                await asyncio.sleep(seconds / (len(kills) + 1))
                followed.killed.append(name)
                _child(running.process, name).send_signal(signal.SIGKILL)
            await asyncio.gather(*calling)
        stop.set()
        await watching
        await _reckon(connection, followed)
        await connection.close()
    return followed


async def _call(client: httpx.AsyncClient, followed: Followed, ending: float) -> None:
    while time.monotonic() < ending:
        sent = event("login", user={"id": f"u-{random.randrange(1000)}"})
        answer = await client.post("/v1/score", json=sent)
        assert answer.status_code == 200, answer.text
        followed.answered[bytes.fromhex(answer.json()["decision_id"])] = time.monotonic()
        await asyncio.sleep(random.uniform(0, 0.05))


async def _watch(connection: Any, followed: Followed, stop: asyncio.Event) -> None:
    """Note when each checkpoint was first seen, until all is signed after the stop.

    The signature of each must hold.
    """
    last, key, deadline, target = 0, None, float("inf"), 0
    while time.monotonic() < deadline:
        if stop.is_set() and deadline == float("inf"):
            target = await connection.fetchval("SELECT count(*) FROM ledger_entry")
            deadline = time.monotonic() + PATIENCE_SECONDS
        for row in await connection.fetch(_NOTES, last):
            last = row["id"]
            if key is None:
                key = parse_vkey(await connection.fetchval("SELECT vkey FROM ledger_signer_key"))
            note = parse_note(row["note"])
            verify_note(note, key)
            checkpoint = parse_checkpoint(note.text)
            followed.signed.append((time.monotonic(), checkpoint.size, checkpoint.root))
        if target and followed.signed[-1][1] >= target:
            return
        await asyncio.sleep(0.05)


async def _reckon(connection: Any, followed: Followed) -> None:
    rows = await connection.fetch(_HEADERS)
    signed, peaks = iter(followed.signed), Peaks()
    at, size, root = next(signed, (0.0, 0, b""))
    for row in rows:
        while peaks.size >= size:
            at, size, root = next(signed, (0.0, len(rows) + 1, b""))
        peaks.append(leaf_hash(row["header"]))
        if peaks.size == size:
            assert peaks.root() == root, f"the checkpoint of {size} is not over the stored headers"
        if size <= len(rows) and row["entry_id"] in followed.answered:
            followed.waits.append(max(at - followed.answered[row["entry_id"]], 0.0))


def _child(service: psutil.Process, module: str) -> psutil.Process:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for child in service.children():
            if module in " ".join(child.cmdline()[1:3]):
                return child
        time.sleep(0.05)
    raise AssertionError(f"{module} does not run")


def main(arguments: Sequence[str]) -> int:
    """Ten minutes (`--seconds N`) under load, one of the two killed every 20 s; print and judge."""
    import argparse
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    seconds = parser.parse_args(arguments).seconds
    kills = [f"service.{name}" for name in ("signer", "sequencer") * round(seconds / 40)]
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers.start(Path(folder)) as servers:
        base = Path(folder) / "service"
        base.mkdir()
        settings = settings_on(servers, base, patient_ms=10_000)
        followed = asyncio.run(follow(settings, base / "log", seconds, kills))
    print(f"P3: {followed}")
    return int(bool(followed.uncovered) or max(followed.waits) > MOST_SECONDS)
