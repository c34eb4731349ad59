"""A service for tests that are no coroutines: it lives in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from service.settings import Settings
from tests.running import Here, service_here

SECONDS = 60
T = TypeVar("T")


class Background:
    """A running service; `run` does something in its loop and waits for what comes of it."""

    def __init__(self, here: Here, loop: asyncio.AbstractEventLoop) -> None:
        self.here = here
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine beside the service."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)


@contextmanager
def service_behind(settings: Settings) -> Iterator[Background]:
    """Run the app in a thread until the block ends."""
    started: Future[tuple[Background, asyncio.Event]] = Future()

    async def live() -> None:
        try:
            async with service_here(settings) as here:
                stopping = asyncio.Event()
                started.set_result((Background(here, asyncio.get_running_loop()), stopping))
                await stopping.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=lambda: asyncio.run(live()), name="service")
    thread.start()
    running, stopping = started.result(SECONDS)
    try:
        yield running
    finally:
        running._loop.call_soon_threadsafe(stopping.set)
        thread.join(SECONDS)
