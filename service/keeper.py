"""How does a process that keeps the tree begin and end? Sequencer and signer, both alike.

Settings come from the environment, as `touchstone serve` sets them. The one argument, if any, is
the file descriptor at which a supervisor listens (`tree_keepers.py`). Invariants: it ends on
SIGTERM and SIGINT, after what it was doing, and when its supervisor is no more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from service.settings import Settings, SettingsError, load_settings

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
PULSE_SECONDS = 1.0


def keep(
    run: Callable[[asyncio.Event, Settings, str], Awaitable[None]], *, level: int = logging.WARNING
) -> int:
    """Run `run(stopping, settings, dsn)` until it returns; return the exit code.

    `stopping` is set by the first SIGTERM or SIGINT.
    """
    logging.basicConfig(level=level, format=FORMAT)
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if settings.postgres.url is None:
        sys.stderr.write("TOUCHSTONE_POSTGRES__URL is not set; `touchstone serve` sets it\n")
        return 2
    asyncio.run(_run(run, settings, settings.postgres.url))
    return 0


async def _run(
    run: Callable[[asyncio.Event, Settings, str], Awaitable[None]], settings: Settings, dsn: str
) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    pulse = asyncio.create_task(_beat(int(sys.argv[1]), stopping)) if sys.argv[1:] else None
    await run(stopping, settings, dsn)
    if pulse is not None:
        pulse.cancel()


async def _beat(descriptor: int, stopping: asyncio.Event) -> None:
    """Say once a second that this process lives."""
    os.set_blocking(descriptor, False)
    while True:
        try:
            os.write(descriptor, b".")
        except BlockingIOError:
            pass  # a supervisor that was stopped for a day
        except OSError:
            stopping.set()  # nobody listens any more
            return
        await asyncio.sleep(PULSE_SECONDS)
