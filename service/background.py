"""What runs beside the requests for as long as its owner is there: one task, begun and ended.

Invariant: work that ends by an error says so in the log at once, and again to whoever ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """One piece of work at a time, under a name that logs show. For one event loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Work was started and is not over; also while it is being ended."""
        return self._task is not None and not self._task.done()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin the work; what was started before is over."""
        assert not self.is_running, f"{self._name} runs already"
        self._task = asyncio.create_task(work, name=self._name)
        self._task.add_done_callback(_log_error)

    async def end(self) -> None:
        """Cancel the work and return when it is over; without any, or twice, it does nothing.

        Raises what the work ended by, before or now.
        """
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended by an error", task.get_name(), exc_info=error)
