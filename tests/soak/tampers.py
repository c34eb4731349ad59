"""Does `ledger verify` find whatever a superuser of the database changes? 500 random tampers."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from service.embedded import EmbeddedServers
from service.migrate import migrate
from tests.tampers import IN_THE_TREE, Record, tampered


def main(arguments: Sequence[str]) -> int:
    """Return 1 when a tamper was missed, or the untouched log not proven."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tampers", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tampers-") as base:
        missed, unseen, clean = asyncio.run(_run(Path(base), given.tampers, given.seed))
    sys.stdout.write(
        f"tampers: {given.tampers}, missed with key and memory: {missed}; of the {len(IN_THE_TREE)}"
        f" kinds in the tree missed with public key and checkpoint: {unseen}; untouched: "
        f"{'proven' if clean else 'NOT PROVEN'}\n"
    )
    return 1 if missed or unseen or not clean else 0


async def _run(base: Path, count: int, seed: int) -> tuple[list[str], list[str], bool]:
    with EmbeddedServers.start(base / "servers", valkey=False) as servers:
        assert servers.postgres_url is not None
        await migrate(servers.postgres_url)
        connection = await asyncpg.connect(servers.postgres_url)
        try:
            record = await Record.begun(servers.postgres_url, connection, base)
            missed, unseen = await tampered(record, count, seed)
            clean = (await record.verified()).exit_code == 0
        finally:
            await connection.close()
    return missed, unseen, clean
