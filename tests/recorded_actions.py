"""What people did, as the ledger has it: type, what, and who out of the sealed staff block."""

from __future__ import annotations

from typing import Any, NamedTuple

import asyncpg
import orjson

from service.ledger.entry import parse_header, unframed
from service.ledger.keys import FileKek, Keyring
from service.ledger.seal import open_sealed
from service.secrets_files import read_keys
from service.settings import Settings
from tests.running import entries


class Recorded(NamedTuple):
    """One action of the ledger."""

    type: str
    what: dict[str, Any]
    who: dict[str, Any]


async def recorded_actions(settings: Settings, prefix: str = "") -> list[Recorded]:
    """Return the actions whose type begins like this, in the order of writers and numbers."""
    ring = Keyring(FileKek(read_keys(settings).kek))
    connection = await asyncpg.connect(settings.postgres.url)
    actions = []
    try:
        rows = await connection.fetch(
            "SELECT entry_id, header, staff FROM ledger_entry WHERE staff IS NOT NULL "
            "ORDER BY writer, seq"
        )
        # Read after the rows: logins are recorded beside the requests, also between the two.
        found = {entry.entry_id: entry for entry in await entries(settings)}
        for row in rows:
            name = str(parse_header(row["header"]).blocks["staff"][0])
            wrapped = await connection.fetchval(
                "SELECT wrapped FROM ledger_key WHERE name = $1", name
            )
            key = ring.open_month_key(name, wrapped)
            log = settings.ledger.log_name
            staff = unframed(open_sealed(key, log, row["entry_id"], "staff", row["staff"]))
            entry = found[row["entry_id"]]
            if entry.type.startswith(prefix):
                actions.append(Recorded(entry.type, entry.core or {}, orjson.loads(staff.content)))
    finally:
        await connection.close()
    return actions
