"""`python -m service.signer`: signs a checkpoint a second after the tree has grown.

Settings come from the environment. Ends on SIGTERM and SIGINT, after what was queued by then is
signed. Invariant: whatever the database or the disk does, this process tries again, and says once
what keeps it from signing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time

import asyncpg

from service.keeper import keep
from service.ledger.drain import AWAY
from service.ledger.errors import LedgerError
from service.settings import Settings
from service.signer.errors import SignerRefuses
from service.signer.signer import Signer

# The sequencer looks twice a second: an entry is signed one to two seconds after its answer.
PAUSE_SECONDS = 1.0
# A contradiction does not go away by itself; somebody who repairs it should not wait for long.
REFUSED_SECONDS = 5.0
# At the end: how long what is queued may take to be placed, and how often to look.
LAST_SECONDS = 3.0
LAST_PAUSE_SECONDS = 0.1

_QUEUED = "SELECT EXISTS (SELECT FROM ledger_queue)"

log = logging.getLogger("service.signer")


async def sign_until(stopping: asyncio.Event, settings: Settings, dsn: str) -> None:
    """Sign until told to stop."""
    signer: Signer | None = None
    last_said = ""
    while not stopping.is_set():
        said, pause = "", PAUSE_SECONDS
        try:
            if signer is None:
                signer = await Signer.open(settings.signer_dir, dsn, settings.ledger.log_name)
            await signer.sign()
        except SignerRefuses as error:
            said, pause = f"refuses ({error.code}): {error}", REFUSED_SECONDS
        except (LedgerError, asyncpg.PostgresError, *AWAY) as error:
            # Only the first line: the details of a server's error quote rows.
            said = f"waits: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if said and said != last_said:
            log.error("the signer %s", said)
        elif last_said and not said:
            log.warning("the signer signs again")
        last_said = said
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)
    if signer is not None:
        with contextlib.suppress(LedgerError, asyncpg.PostgresError, *AWAY):
            await _sign_the_rest(signer, dsn)
        await signer.close()


async def _sign_the_rest(signer: Signer, dsn: str) -> None:
    """Wait until the sequencer has placed what is queued, then sign once more."""
    deadline = time.monotonic() + LAST_SECONDS
    connection = await asyncpg.connect(dsn, timeout=LAST_SECONDS)
    try:
        while time.monotonic() < deadline and await connection.fetchval(_QUEUED):  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(LAST_PAUSE_SECONDS)
    finally:
        await connection.close(timeout=LAST_SECONDS)
    await signer.sign()


def main() -> int:
    """Run until told to stop."""
    return keep(sign_until)


if __name__ == "__main__":
    sys.exit(main())
