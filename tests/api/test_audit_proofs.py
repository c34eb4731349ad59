"""Proofs as auditors fetch them: of one entry, and of an older tree."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import asyncpg

from service.embedded import EmbeddedServers
from service.ledger.note import parse_vkey
from service.ledger.proof import verify_proof
from service.ledger.tree.verifying import verify_consistency
from tests.api.test_endpoints import assert_problem
from tests.events import event
from tests.keeping import checkpointed
from tests.running import service_here, settings_on


async def test_proofs_hold_outside(tmp_path: Path) -> None:
    """What the service hands out is verified with the public key; what is not there is said."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=10_000)
        async with service_here(settings) as here:
            answers = [await here.client.score(event("login")) for _ in range(3)]
            dsn = str(settings.postgres.url)
            await checkpointed(dsn, settings.signer_dir, settings.ledger.log_name)
            connection = await asyncpg.connect(dsn)
            vkey = await connection.fetchval("SELECT vkey FROM ledger_signer_key")
            await connection.close()
            decision = answers[1].json["decision_id"]
            found = await here.client.get(f"/v1/audit/proofs/{decision}")
            assert found.status == 200, found.json
            proven = verify_proof(json.dumps(found.json), [parse_vkey(vkey)])
            assert proven.header.entry_id.hex() == decision
            second = proven.size
            path = f"/v1/audit/consistency?first=1&second={second}"
            said = (await here.client.get(path)).json
            roots = [base64.b64decode(said[name]) for name in ("first_root", "second_root")]
            nodes = [base64.b64decode(node) for node in said["path"]]
            verify_consistency(1, roots[0], second, roots[1], nodes)
            missing = await here.client.get(f"/v1/audit/proofs/{'0' * 32}")
            assert_problem(missing, "unknown_entry")
            beyond = await here.client.get("/v1/audit/consistency?first=1&second=999999")
            assert_problem(beyond, "out_of_tree")
