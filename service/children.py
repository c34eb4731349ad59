"""How does the service get rid of a process that it started?

Invariant: when `end` returns the process is gone, whatever it does.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import Callable

PATIENCE_SECONDS = 5.0


async def end(
    process: Process,
    ask: Callable[[], None] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Ask the process to end, by SIGTERM unless `ask` does it, and kill it when it does not."""
    with contextlib.suppress(ProcessLookupError):
        (ask or process.terminate)()
    try:
        await asyncio.wait_for(process.wait(), patience_seconds)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
