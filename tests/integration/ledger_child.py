"""A process that appends under load until it is killed; says on standard output what it was told.

`python -m tests.integration.ledger_child DSN SPOOL_DIR PREFIX`: after each acknowledged entry
a line `entry-id event-key`, written with one `write`, so that a line is whole or absent.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from service.ledger.errors import LedgerUnavailable
from service.ledger.keys import FileKek, Keyring
from service.ledger.writer import LedgerWriter, WriterSettings
from tests.integration.ledger_cases import KEK, draft

CLIENTS = 16


async def main(dsn: str, spool_dir: str, prefix: str) -> None:
    """Append for ever."""
    settings = WriterSettings(dsn, "test", Path(spool_dir))
    writer = await LedgerWriter.start(settings, Keyring(FileKek(KEK)))
    os.write(1, b"started\n")
    numbers = itertools.count()

    async def client() -> None:
        for number in numbers:
            event = f"{prefix}-{number}"
            entry = draft(event, person=f"user:{number % 50}")
            try:
                await writer.append(entry, timeout_s=1)
            except LedgerUnavailable:
                continue
            os.write(1, f"{entry.entry_id.hex()} {event}\n".encode())

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
