"""Who does the long jobs that people ask for? One worker of the service, in a child process.

Invariant: a job that was claimed here ends here: done, failed, cancelled, or put back when the
service stops; if this process dies, another gives the job up by its silence.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from abc import ABC, abstractmethod
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar
from uuid import UUID

import asyncpg
import orjson

from service.actions import Actions
from service.background import Background
from service.changes import Changes
from service.children import end
from service.errors import Refused
from service.ledger.errors import LedgerError
from service.settings import Settings

BEAT_SECONDS = 0.5
# A year of a large shop; what takes longer hinders all that wait.
LONGEST_SECONDS = 6 * 3600.0
# The result of a backtest has 50 to 500 KB; that of an export names five members for each 100,000
# entries.
LONGEST_LINE = 64 << 20

log = logging.getLogger(__name__)

Said = dict[str, Any]


class JobFailed(Exception):
    """The job cannot be done; the text says why to who waits for it."""


class JobCancelled(Exception):
    """Somebody asked for the job to end."""


class HasId(Protocol):
    """A job, as far as all kinds are alike."""

    @property
    def id(self) -> UUID:
        """Unique among the jobs of its kind."""


Job = TypeVar("Job", bound=HasId)


class JobRunner(ABC, Generic[Job]):
    """Does one job at a time; use as an async context manager. A kind of job is a subclass.

    `kind`: as logs name it; `channel`: where a job that is queued is notified; `too_long`: what is
    said of a job that took six hours.
    """

    kind: ClassVar[str]
    channel: ClassVar[str]
    too_long: ClassVar[str]

    def __init__(self, settings: Settings, actions: Actions, changes: Changes) -> None:
        self._settings = settings
        self._actions = actions
        self._changes = changes
        self._is_ending = False
        self._working = Background(self.kind)

    @abstractmethod
    async def _claim(self, connection: Any) -> Job | None:
        """Return a job to do, if one waits; asked twice a second, so cheap when none does."""

    @abstractmethod
    async def _do(self, connection: Any, job: Job) -> None:
        """Do the job and keep what comes of it.

        Raises `JobFailed`, `JobCancelled`, and anything else; what was not kept it removes itself.
        """

    @abstractmethod
    async def _beat(self, connection: Any, job: Job, said: Said) -> bool:
        """Put down that the job goes on and how far it is; False: it is to stop."""

    @abstractmethod
    async def _end(self, connection: Any, job: Job, state: str, error: str | None) -> None:
        """End the job, `failed` for this reason or `cancelled`, unless somebody else ended it."""

    @abstractmethod
    async def _put_back(self, connection: Any, job: Job) -> None:
        """Let another process do the job from the start."""

    async def __aenter__(self) -> Self:
        self._changes.follow(self.channel, self._look)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_ending = True
        await self._working.end()

    async def _look(self, connection: Any) -> None:
        """Claim a job if one waits; called after every change and twice a second."""
        if self._is_ending or self._working.is_running:
            return
        job = await self._claim(connection)
        if job is not None:
            await self._begin(connection, job)

    async def _begin(self, connection: Any, job: Job) -> None:
        if self._is_ending:  # since it was looked for: nobody would end it
            await self._put_back(connection, job)
        else:
            self._working.start(self._run(job))

    async def _run(self, job: Job) -> None:
        try:
            async with self._actions.connection() as connection:
                await self._finish(connection, job)
        except (Refused, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # Without the database nothing can be said of the job; its silence will.
            log.warning("the %s %s was left: %s", self.kind, job.id, error)

    async def _finish(self, connection: Any, job: Job) -> None:
        try:
            await self._do(connection, job)
        except asyncio.CancelledError:
            await self._put_back(connection, job)
            raise
        except JobCancelled:
            await self._end(connection, job, "cancelled", None)
        except (JobFailed, Refused, LedgerError) as error:
            await self._end(connection, job, "failed", str(error))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            raise
        except Exception:
            log.exception("the %s %s failed", self.kind, job.id)
            await self._end(connection, job, "failed", "An error of ours; see the log.")

    async def _answer(
        self, connection: Any, job: Job, command: Sequence[str], order: bytes, word: str
    ) -> Any:
        """Have a process do the job, and return what it says under `word`, with beats meanwhile.

        The process reads the order on stdin and says lines of JSON: how far it is, and at last the
        answer or an `error`; it is gone when this returns. Raises `JobFailed`, after six hours
        too, and `JobCancelled`.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command,
            stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                return await _followed(
                    process, order, word, lambda said: self._beat(connection, job, said)
                )
        except TimeoutError:
            raise JobFailed(self.too_long) from None
        finally:
            await end(process)  # its own children follow: nobody reads their pipes


async def _followed(
    process: Process, order: bytes, word: str, beat: Callable[[Said], Awaitable[bool]]
) -> Any:
    """Pass on what the process says until its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(order)
    process.stdin.close()
    said: Said = {}
    said_at = 0.0
    line: asyncio.Task[bytes] | None = None
    answer = None
    try:
        while True:
            line = line or asyncio.ensure_future(process.stdout.readline())
            await asyncio.wait((line,), timeout=BEAT_SECONDS)
            if line.done():
                raw, line = line.result(), None
                if not raw:
                    raise JobFailed("Its process ended by itself: was it killed?")
                told = orjson.loads(raw)
                if "error" in told:
                    raise JobFailed(told["error"])
                if word in told:
                    answer = told[word]
                else:
                    said |= told
            now = asyncio.get_running_loop().time()
            if answer is not None or now - said_at >= BEAT_SECONDS:
                said_at = now
                if not await beat(said):
                    raise JobCancelled
            if answer is not None:
                return answer
    finally:
        if line is not None:
            line.cancel()
