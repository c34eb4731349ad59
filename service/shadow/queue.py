"""What would other rule sets have decided? Handed over after the reply.

Every worker has a queue, and while there are shadows a process of its own that works it off
(`service/shadow/child.py`). Invariant: nothing in here can reach an answer: an offer takes
microseconds, never waits and never raises; what does not fit into the queue is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Self

from service.background import Background
from service.brain import Brain
from service.clock import epoch_ms
from service.lists.membership import Lists
from service.metrics import Metrics
from service.shadow.process import ShadowGone, ShadowProcess
from service.shadow.task import ShadowTask
from service.shadow.wire import task_of

__all__ = ["QUEUE_TASKS", "ShadowQueue", "ShadowTask"]

log = logging.getLogger(__name__)

# The facts of an event take 20 KB in memory.
QUEUE_TASKS = 1_000
# A process that ended is started again after this, twice as long each time, up to the latter.
RESTART_SECONDS = (0.5, 30.0)


class ShadowQueue:
    """The bounded queue of one worker. Use as an async context manager; before that it drops."""

    def __init__(self, brain: Brain, dsn: str, lists: Lists, metrics: Metrics) -> None:
        """`dsn`: where the counts go."""
        self._brain = brain
        self._dsn = dsn
        self._lists = lists
        self._metrics = metrics
        self._tasks: deque[ShadowTask] = deque()
        self._wake = asyncio.Event()
        self._dropped = 0
        self._process: ShadowProcess | None = None
        self._asking = Background("shadows")

    @property
    def failed(self) -> Mapping[str, str]:
        """The sets in shadow that cannot be asked, and why."""
        return {} if self._process is None else self._process.failed

    def use(self, brain: Brain) -> None:
        """Take the brain that decides from now on; tasks know their own."""
        self._brain = brain
        self._wake.set()

    def offer(self, task: ShadowTask) -> None:
        """Take a decision, or drop and count it when the queue is full."""
        if not self._asking.is_running or len(self._tasks) >= QUEUE_TASKS:
            self._drop(1)
        else:
            self._tasks.append(task)
            self._wake.set()

    async def __aenter__(self) -> Self:
        self._wake.set()  # the brain to begin with may have shadows
        self._asking.start(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._asking.end()
        if self._process is not None:
            await self._process.close()

    async def _run(self) -> None:
        pause = RESTART_SECONDS[0]
        while True:
            try:
                await self._work()
                pause = RESTART_SECONDS[0]
            except ShadowGone as gone:
                log.warning("the shadow process ended and is started again: %s", gone)
            except Exception:  # whatever it is, decisions go on
                log.exception("shadows are not asked for a while")
            finally:
                await self._end_process()
            await asyncio.sleep(pause)
            self._wake.set()
            pause = min(2 * pause, RESTART_SECONDS[1])

    async def _work(self) -> None:
        """Hand tasks to a process for as long as there are shadows."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._tasks:
                await self._hand_over(self._tasks.popleft())
            if self._brain.shadows:
                await self._tell_dropped(await self._set_up(self._brain))
            elif self._process is not None:
                return

    async def _hand_over(self, task: ShadowTask) -> None:
        try:
            process = await self._set_up(task.brain)
            known = self._lists.facts(process.listed, task.tags, epoch_ms(task.observed_at))
            facts = {**known, **task.facts}
            await self._tell_dropped(process)
            await process.send("task", task_of(task, facts))
        except TypeError:  # a number that JSON does not know
            self._drop(1)
        except BaseException:
            self._drop(1)
            raise
        await asyncio.sleep(0)  # decisions come first

    async def _set_up(self, brain: Brain) -> ShadowProcess:
        """Return a process that asks the shadows of this brain."""
        if self._process is None:
            self._process = await ShadowProcess.start(self._dsn, self._metrics, self._wake.set)
        await self._process.ask(brain)
        return self._process

    async def _tell_dropped(self, process: ShadowProcess) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            await process.send("dropped", {"count": dropped})

    async def _end_process(self) -> None:
        if self._process is not None:
            self._drop(await self._process.close())
            self._process = None

    def _drop(self, count: int) -> None:
        self._dropped += count
        self._metrics.shadow_dropped.inc(count)
