"""P4: changing, removing, reordering or inserting a checkpointed entry is detected offline by
anyone with the public key and one earlier checkpoint.

Offline: the attacker hands out what he has made of the record, as a package that he builds and has
signed, or as the database itself. 500 random tampers, every byte and 56 attacks on packages:
`make soak ARGS="tampers packages"`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.audit.package import verify
from service.audit.package.disclosing import RecordDamaged
from service.audit.package.told import RangeBroken
from service.embedded import EmbeddedServers
from service.ledger.keys import FileKek, Keyring
from service.ledger.tree.errors import OutOfTree
from service.migrate import migrate
from service.signer.errors import SignerRefuses
from tests.integration.ledger_cases import KEK
from tests.keeping import checkpointed
from tests.packages import built_package, package_request
from tests.tampers import ENTRIES, LOG, REMOVE, RETYPE, Record, places_swapped, rehashed

INVALID, UNTRUSTED = 2, 5
REFUSED = (RecordDamaged, RangeBroken, SignerRefuses, OutOfTree)


async def _change(connection: Any, entry: bytes) -> None:
    await connection.execute(RETYPE, entry)
    await rehashed(connection)


async def _remove(connection: Any, entry: bytes) -> None:
    for part in REMOVE.split(";"):
        await connection.execute(part, entry)
    await rehashed(connection)


async def _reorder(connection: Any, _: bytes) -> None:
    await places_swapped(connection, random.Random(4))


async def _insert(connection: Any, entry: bytes) -> None:
    leaves = await connection.fetch("SELECT entry_id FROM ledger_leaf ORDER BY idx")
    forged = await connection.fetchval(
        "INSERT INTO ledger_entry (entry_id, type, writer, seq, observed, header, core, subject) "
        "SELECT decode(md5(entry_id), 'hex'), type, writer, seq, observed, "
        "convert_to(replace(convert_from(header, 'utf8'), encode(entry_id, 'hex'), "
        "md5(entry_id)), 'utf8'), core, subject FROM ledger_entry WHERE entry_id = $1 "
        "RETURNING entry_id",
        entry,
    )
    await connection.execute("DELETE FROM ledger_leaf")
    await connection.executemany(
        "INSERT INTO ledger_leaf (idx, entry_id, hash) VALUES ($1, $2, sha256('x'))",
        enumerate([forged, *(row["entry_id"] for row in leaves)]),
    )
    await rehashed(connection)


@pytest.mark.parametrize("attack", [_change, _remove, _reorder, _insert])
async def test_p4_changes_to_checkpointed_entries_are_detected(
    servers: EmbeddedServers,
    fresh_postgres_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    attack: Callable[[Any, bytes], Any],
) -> None:
    """Whatever is done to an entry that was signed, with every stored hash made to fit: the owner's
    verification, an auditor's, the signer and a package of it all tell."""
    await migrate(fresh_postgres_url)
    connection = await asyncpg.connect(fresh_postgres_url)
    try:
        record = await Record.begun(fresh_postgres_url, connection, tmp_path)
        vkey = await connection.fetchval("SELECT vkey FROM ledger_signer_key")
        kept = tmp_path / "last-month"
        kept.write_text(record.kept, encoding="utf-8")
        package = tmp_path / "package.tar"
        arguments = [str(package), "--key", vkey, "--since", str(kept)]
        request = package_request(LOG, ENTRIES, blocks=("core",), earlier=(ENTRIES // 2,))

        async def build(signer: Path) -> None:
            ring = Keyring(FileKek(KEK))
            await built_package(fresh_postgres_url, ring, request, package, signer)

        await build(record.signer)
        assert verify.main(arguments) == 0, capsys.readouterr().out
        assert (await record.verified()).exit_code == 0

        entry = await connection.fetchval("SELECT entry_id FROM ledger_leaf WHERE idx = 77")
        await attack(connection, entry)
        for report in (await record.verified(), await record.audited()):
            assert report.exit_code == INVALID, report.render()
        with pytest.raises(REFUSED):
            await build(record.signer)

        # A signer of his own signs whatever he likes: the package holds, and under nobody's key.
        await connection.execute("DELETE FROM ledger_checkpoint; DELETE FROM ledger_signer_key")
        await checkpointed(fresh_postgres_url, tmp_path / "his", LOG)
        size = await connection.fetchval("SELECT size FROM ledger_tree")
        request = package_request(LOG, size, blocks=())
        await build(tmp_path / "his")
        assert verify.main(arguments) == UNTRUSTED, capsys.readouterr().out
    finally:
        await connection.close()
