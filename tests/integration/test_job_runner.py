"""Jobs in child processes: each comes to an end, whatever its process or the service does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.actions import Actions
from service.changes import Changes
from service.job_runner import JobRunner, Said
from service.ledger.writer import LedgerWriter
from service.settings import Settings

pytest_plugins = ["tests.integration.ledger_fixtures"]
PATIENCE_SECONDS = 20.0
ENDLESS = "import time\nprint('{\"done\": 1}', flush=True)\ntime.sleep(3600)"


@dataclass(frozen=True)
class Errand:
    """A job that runs a script."""

    script: str
    id: UUID = field(default_factory=uuid4)


class Errands(JobRunner[Errand]):
    """Jobs that are queued in memory."""

    kind = "errand"
    channel = "errands"
    too_long = "Too long."

    def __init__(self, settings: Settings, actions: Actions, changes: Changes) -> None:
        super().__init__(settings, actions, changes)
        self.queue: asyncio.Queue[Errand] = asyncio.Queue()
        self.ends: asyncio.Queue[tuple[Errand, str, Any]] = asyncio.Queue()
        self.said: list[Said] = []
        self.beaten = asyncio.Event()
        self.claimed = asyncio.Event()
        self.may_claim = asyncio.Event()
        self.may_claim.set()
        self.is_wanted = True

    async def ended(self, errand: Errand) -> tuple[str, Any]:
        """Queue a job and return how it ended."""
        self.queue.put_nowait(errand)
        return await self.next_end(errand)

    async def next_end(self, errand: Errand) -> tuple[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found, state, what = await self.ends.get()
        assert found == errand
        return state, what

    async def _claim(self, connection: Any) -> Errand | None:
        assert await connection.fetchval("SELECT true")
        if self.queue.empty():
            return None
        self.claimed.set()
        await self.may_claim.wait()
        return self.queue.get_nowait()

    async def _do(self, connection: Any, job: Errand) -> None:
        answer = await self._answer(connection, job, ("-c", job.script), b"order", "answer")
        if answer == "bug":
            raise ValueError(answer)
        self.ends.put_nowait((job, "done", answer))

    async def _beat(self, connection: Any, job: Errand, said: Said) -> bool:
        assert await connection.fetchval("SELECT true")
        self.said.append(dict(said))
        if said:
            self.beaten.set()
        return self.is_wanted

    async def _end(self, connection: Any, job: Errand, state: str, error: str | None) -> None:
        self.ends.put_nowait((job, state, error))

    async def _put_back(self, connection: Any, job: Errand) -> None:
        self.ends.put_nowait((job, "queued", None))


@asynccontextmanager
async def _errands(dsn: str, writer: LedgerWriter, base: Path) -> AsyncIterator[Errands]:
    async with Changes(dsn) as changes:
        errands = Errands(Settings(var=base), Actions(dsn, writer), changes)
        async with errands:
            yield errands


def _says(*lines: str, before: Sequence[str] = ()) -> str:
    return "\n".join((*before, *(f"print({line!r}, flush=True)" for line in lines)))


async def test_the_answer_is_told_and_what_was_said_before_put_together(
    ledger_dsn: str, writer: LedgerWriter, tmp_path: Path
) -> None:
    """The process reads its order on stdin; the last beat knows all that it said."""
    async with _errands(ledger_dsn, writer, tmp_path) as errands:
        script = _says(
            '{"done": 1, "total": 9}', '{"done": 2}', '{"answer": {"a": 1}}',
            before=["import sys", "assert sys.stdin.read() == 'order'"],
        )  # fmt: skip
        assert await errands.ended(Errand(script)) == ("done", {"a": 1})
        assert errands.said[-1] == {"done": 2, "total": 9}


async def test_a_job_that_cannot_be_done_fails_and_says_why(
    ledger_dsn: str, writer: LedgerWriter, tmp_path: Path
) -> None:
    """An error that the process says, a process without a last word, a bug; the next one runs."""
    async with _errands(ledger_dsn, writer, tmp_path) as errands:
        assert await errands.ended(Errand(_says('{"error": "No."}'))) == ("failed", "No.")
        state, error = await errands.ended(Errand(_says('{"done": 1}')))
        assert (state, "killed" in error) == ("failed", True)
        bug = await errands.ended(Errand(_says('{"answer": "bug"}')))
        assert bug == ("failed", "An error of ours; see the log.")
        assert await errands.ended(Errand(_says('{"answer": 1}'))) == ("done", 1)


async def test_a_job_may_not_take_for_ever(
    ledger_dsn: str, writer: LedgerWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time it is given up."""
    monkeypatch.setattr("service.job_runner.LONGEST_SECONDS", 1.0)
    async with _errands(ledger_dsn, writer, tmp_path) as errands:
        assert await errands.ended(Errand(ENDLESS)) == ("failed", "Too long.")


async def test_a_job_that_is_cancelled_stops(
    ledger_dsn: str, writer: LedgerWriter, tmp_path: Path
) -> None:
    """The next beat says so, and its process is gone before its end is told."""
    async with _errands(ledger_dsn, writer, tmp_path) as errands:
        mark = tmp_path / "pid"
        errand = Errand(f"import os\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\n{ENDLESS}")
        errands.queue.put_nowait(errand)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await errands.beaten.wait()
        errands.is_wanted = False
        assert await errands.next_end(errand) == ("cancelled", None)
        assert not Path(f"/proc/{mark.read_text()}").exists()


async def test_a_job_is_put_back_when_the_service_stops(
    ledger_dsn: str, writer: LedgerWriter, tmp_path: Path
) -> None:
    """One that runs, before the block is left."""
    async with _errands(ledger_dsn, writer, tmp_path) as errands:
        errand = Errand(ENDLESS)
        errands.queue.put_nowait(errand)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await errands.beaten.wait()
    assert errands.ends.get_nowait() == (errand, "queued", None)


async def test_a_job_claimed_as_the_service_stops_is_put_back(
    ledger_dsn: str, writer: LedgerWriter, tmp_path: Path
) -> None:
    """It is not begun, for nobody would end it."""
    async with Changes(ledger_dsn) as changes:
        errand = Errand(ENDLESS)
        actions = Actions(ledger_dsn, writer)
        async with Errands(Settings(var=tmp_path), actions, changes) as errands:
            errands.may_claim.clear()
            errands.queue.put_nowait(errand)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await errands.claimed.wait()
        errands.may_claim.set()
        assert await errands.next_end(errand) == ("queued", None)
    assert errands.said == []
