"""How does a worker start the process of its shadows, talk to it, and get rid of it?

Invariant: whatever the process does, or fails to do, costs the worker no more than waiting in a
task that nothing else waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from rules.listed import Listed
from service.brain import Brain
from service.children import end
from service.metrics import Metrics
from service.shadow.wire import framed

# To load sets, and to make room in the pipe. A process that hangs ends itself before that.
PATIENCE_SECONDS = 300.0
CLOSE_SECONDS = 3.0


class ShadowGone(Exception):
    """The process ended, or does nothing."""

    code = "shadow_gone"


class ShadowProcess:
    """One running process. Made by `start`, ended by `close`."""

    def __init__(self, process: Process, metrics: Metrics, ended: Callable[[], None]) -> None:
        self._process = process
        self._metrics = metrics
        self._ended = ended
        self._brain: Brain | None = None
        self._known: set[str] = set()
        self._ready = asyncio.Event()
        self._sent = 0
        self._done = 0
        self._errors = 0
        self.failed: Mapping[str, str] = {}
        self.listed: tuple[Listed, ...] = ()
        self._reader = asyncio.create_task(self._read(), name="shadow-replies")

    @classmethod
    async def start(cls, dsn: str, metrics: Metrics, ended: Callable[[], None]) -> ShadowProcess:
        """Start a process that writes its counts to this database; `ended` is called at its end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service.shadow.child", stdin=PIPE, stdout=PIPE
        )
        started = cls(process, metrics, ended)
        await started.send("start", {"dsn": dsn})
        return started

    async def ask(self, brain: Brain) -> None:
        """Return when it asks the shadows of this brain; raise `ShadowGone`."""
        if self._reader.done():
            raise ShadowGone("it ended")
        if brain is self._brain:
            return
        versions = [files.version for files in brain.shadows]
        texts = {
            files.version: dict(files.texts)
            for files in brain.shadows
            if files.version not in self._known
        }
        self._ready.clear()
        await self.send(
            "sets",
            {
                "versions": versions,
                "texts": texts,
                "types": dict(brain.catalog.fact_types),
                "stopped": sorted(brain.stopped),
            },
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            raise ShadowGone("it does not load its rule sets") from None
        if self._reader.done():
            raise ShadowGone("it ended while it loaded its rule sets")
        self._known = set(versions)
        self._brain = brain

    async def send(self, kind: str, content: Mapping[str, Any]) -> None:
        """Send a message; raise `ShadowGone`, and TypeError for what JSON cannot say."""
        assert self._process.stdin is not None
        frame = framed(kind, content)
        if self._reader.done():
            raise ShadowGone("it ended")
        self._sent += kind == "task"
        try:
            self._process.stdin.write(frame)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._process.stdin.drain()
        except (OSError, TimeoutError, RuntimeError) as error:
            raise ShadowGone(f"it takes nothing more ({type(error).__name__})") from None

    async def close(self) -> int:
        """End it; return how many tasks it had taken and not worked off."""
        assert self._process.stdin is not None
        await end(self._process, self._process.stdin.close, CLOSE_SECONDS)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._reader
        with contextlib.suppress(OSError):
            await self._process.stdin.wait_closed()
        return self._sent - self._done

    async def _read(self) -> None:
        """Take what it says until it ends."""
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                told = orjson.loads(line)
                self.failed = told.get("failed", self.failed)
                if "ready" in told:
                    self.listed = tuple(Listed(*one) for one in told["listed"])
                    self._ready.set()
                if "done" in told:
                    self._metrics.shadow_done.inc(told["done"] - self._done)
                    self._metrics.shadow_errors.inc(told["errors"] - self._errors)
                    self._done, self._errors = told["done"], told["errors"]
        finally:
            self._ready.set()
            self._ended()
