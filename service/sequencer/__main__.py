"""`python -m service.sequencer`: leads when nobody does, stands by while another leads.

Settings come from the environment. Ends on SIGTERM and SIGINT. Invariant: whatever happens to a
sequencer or to PostgreSQL, this process tries again, and says once what keeps it from leading.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys

import asyncpg

from service.keeper import keep
from service.ledger.drain import AWAY
from service.ledger.errors import LedgerError
from service.sequencer.errors import NotLeader
from service.sequencer.sequencer import Sequencer
from service.sequencer.session import end_hung_leader
from service.settings import Settings

RETRY_SECONDS = 1.0

log = logging.getLogger("service.sequencer")


async def stand_by_and_lead(dsn: str, log_name: str) -> None:
    """Lead whenever possible, until cancelled."""
    last_said = ""
    while True:
        try:
            sequencer = await Sequencer.start(dsn, log_name)
            try:
                log.info("leads with term %d from size %d on", sequencer.term, sequencer.size)
                last_said = ""
                await sequencer.run()
            finally:
                await sequencer.close()
        except NotLeader as error:
            said = f"stands by: {error}"
            with contextlib.suppress(asyncpg.PostgresError, *AWAY):
                if await end_hung_leader(dsn):
                    log.warning("the leader was silent and its session was ended")
        except (LedgerError, asyncpg.PostgresError, *AWAY) as error:
            # Only the first line: the details of a server's error quote rows.
            said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if said != last_said:
            log.warning("the sequencer %s", said)
            last_said = said
        await asyncio.sleep(RETRY_SECONDS)


async def lead_until(stopping: asyncio.Event, settings: Settings, dsn: str) -> None:
    """Lead whenever possible, until `stopping` is set."""
    leading = asyncio.create_task(stand_by_and_lead(dsn, settings.ledger.log_name))
    ended = asyncio.create_task(stopping.wait())
    await asyncio.wait((leading, ended), return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    leading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leading


def main() -> int:
    """Run until told to stop."""
    return keep(lead_until, level=logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
