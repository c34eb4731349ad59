"""One entry proves itself to whoever has the public key; a changed proof proves nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli.ledger import ledger_app
from service.ledger.note import parse_vkey
from service.ledger.proof import NotCovered, UntrustedKey, prove, verify_proof
from service.ledger.tree.errors import ProofInvalid
from service.ledger.writer import LedgerWriter
from tests.integration.ledger_cases import draft
from tests.keeping import checkpointed, sequenced
from tests.made_packages import MadeLog

pytest_plugins = ["tests.integration.ledger_fixtures"]


async def test_an_entry_is_proven_offline(
    writer: LedgerWriter, ledger_dsn: str, connection: Any, tmp_path: Path
) -> None:
    """A proof holds under the signer's key alone; no byte of it may be another."""
    drafts = [draft(f"event-{number}") for number in range(9)]
    for one in drafts:
        await writer.append(one, timeout_s=5)
    wanted = drafts[4].entry_id
    with pytest.raises(NotCovered):
        await prove(connection, wanted)
    await checkpointed(ledger_dsn, tmp_path / "signer", "test")
    vkey = await connection.fetchval("SELECT vkey FROM ledger_signer_key")
    key = parse_vkey(vkey)
    assert await prove(connection, bytes(16)) is None
    uncovered = draft("later")
    await writer.append(uncovered, timeout_s=5)
    await sequenced(ledger_dsn, "test")
    with pytest.raises(NotCovered):  # it has a place, the first one that is not signed
        await prove(connection, uncovered.entry_id)
    proof = await prove(connection, wanted)
    text = json.dumps(proof, ensure_ascii=False)
    proven = verify_proof(text, [key])
    assert (proven.header.entry_id, proven.size, proven.origin) == (wanted, 9, "test")
    with pytest.raises(UntrustedKey):
        verify_proof(text, [parse_vkey(MadeLog(origin="test").vkey)])
    for field in ("header", "checkpoint", "path", "index", "format"):
        assert proof is not None
        value = proof[field]
        changed = value + 1 if isinstance(value, int) else value[:-1]
        with pytest.raises((ProofInvalid, UntrustedKey)):
            verify_proof(json.dumps({**proof, field: changed}), [key])
    for nonsense in ("", "[]", "{}", '{"format":"touchstone proof 1"}'):
        with pytest.raises(ProofInvalid):
            verify_proof(nonsense, [key])

    file = tmp_path / "proof.json"
    file.write_text(text, encoding="utf-8")
    run = CliRunner().invoke
    said = run(ledger_app, ["verify", "--proof", str(file), "--key", vkey])
    assert (said.exit_code, "PROVEN" in said.output) == (0, True), said.output
    assert run(ledger_app, ["verify", "--proof", str(file)]).exit_code == 64
    stranger = MadeLog(origin="test").vkey
    assert run(ledger_app, ["verify", "--proof", str(file), "--key", stranger]).exit_code == 5
    file.write_text(text.replace('"index": ', '"index": 1'), encoding="utf-8")
    assert run(ledger_app, ["verify", "--proof", str(file), "--key", vkey]).exit_code == 2
