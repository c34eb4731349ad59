"""What a superuser of the database changes is found; five hundred of them: `make soak`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.embedded import EmbeddedServers
from service.migrate import migrate
from tests.tampers import BESIDE_THE_TREE, ENTRIES, IN_THE_TREE, Record, tampered


@pytest.fixture
async def record(servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path) -> Any:
    """A signed log in a database of its own."""
    await migrate(fresh_postgres_url)
    connection = await asyncpg.connect(fresh_postgres_url)
    yield await Record.begun(fresh_postgres_url, connection, tmp_path)
    await connection.close()


async def test_every_kind_of_tampering_is_found(record: Record) -> None:
    """Each kind of tampering is found by the owner; what is in the tree by an auditor as well."""
    for report in (await record.verified(), await record.audited()):
        assert report.exit_code == 0, report.render()
        assert (report.placed, report.signed, report.waiting) == (ENTRIES, ENTRIES, 0)
    missed, unseen = await tampered(record, len(IN_THE_TREE) + len(BESIDE_THE_TREE), seed=1)
    assert (missed, unseen) == ([], [])
    assert (await record.verified()).exit_code == 0
