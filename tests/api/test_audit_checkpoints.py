"""Checkpoints, keys and cosignatures as auditors and witnesses get and bring them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.embedded import EmbeddedServers
from service.ledger.note import (
    COSIGNATURE,
    cosigner,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    sign_line,
    verify_note,
    vkey_of,
)
from tests.api.test_endpoints import assert_problem
from tests.events import event
from tests.keeping import checkpointed
from tests.recorded_actions import recorded_actions
from tests.running import Here, environment_of, service_here, settings_on
from tests.served import touchstone

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "witness.example/w1"
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VKEY = vkey_of(NAME, WITNESS.public_key().public_bytes_raw(), COSIGNATURE)
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service that knows one witness, on servers of its own."""
    base = tmp_path_factory.mktemp("checkpoints")
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000, ledger={"witnesses": (VKEY,)})
        async with service_here(settings) as here:
            yield here


async def signed(here: Here) -> str:
    """Record something, have it signed and return the note."""
    assert (await here.client.score(event("login"))).status == 200
    assert here.settings.postgres.url is not None
    return await checkpointed(
        here.settings.postgres.url, here.settings.signer_dir, here.settings.ledger.log_name
    )


def cosigned(note: str, key: Ed25519PrivateKey = WITNESS, name: str = NAME) -> str:
    """The note with a witness's line."""
    return note + sign_line(key, name, parse_note(note).text, 1_795_000_000)


async def post(here: Here, note: str) -> Any:
    return await here.client.score({"note": note}, "/v1/audit/cosignatures")


async def test_an_empty_log_has_no_checkpoint(tmp_path: Path) -> None:
    """A 404 that says what is missing, not an empty note."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        async with service_here(settings_on(servers, tmp_path)) as here:
            assert_problem(await here.client.get("/v1/audit/checkpoints/latest"), "no_checkpoint")
            assert (await here.client.get("/v1/audit/checkpoints")).json == []


async def test_the_last_checkpoint_is_the_note_that_was_signed(here: Here) -> None:
    """Byte for byte, and it verifies with the key that is published."""
    note = await signed(here)
    answer = await here.client.get("/v1/audit/checkpoints/latest")
    assert answer.content.decode() == note
    assert answer.headers["content-type"].startswith("text/plain")
    keys = (await here.client.get("/v1/audit/keys")).json
    assert keys["witnesses"] == [VKEY]
    (key,) = keys["keys"]
    verify_note(parse_note(note), parse_vkey(key["vkey"]))


async def test_a_known_witness_is_kept_with_the_checkpoint(here: Here) -> None:
    """Its line leaves with the note from then on, the list names it, and it is an entry."""
    await signed(here)
    note = await signed(here)
    answer = await post(here, cosigned(note))
    size = parse_checkpoint(parse_note(note).text).size
    assert (answer.status, answer.json["witnesses"], answer.json["size"]) == (200, [NAME], size)
    latest = (await here.client.get("/v1/audit/checkpoints/latest")).content.decode()
    assert latest == cosigned(note)
    assert verify_note(parse_note(latest), cosigner(parse_vkey(VKEY))) == 1_795_000_000
    assert (await post(here, cosigned(note))).status == 200  # again changes nothing
    page = (await here.client.get("/v1/audit/checkpoints?limit=1")).json
    assert (page[0]["note"], page[0]["witnesses"]) == (latest, [NAME])
    older = (await here.client.get(f"/v1/audit/checkpoints?before={page[0]['id']}")).json
    assert all(one["id"] < page[0]["id"] for one in older)
    assert older[0]["witnesses"] == []
    actions = await recorded_actions(here.settings, "checkpoint.cosign")
    assert (size, [NAME]) in [(one.what["size"], one.what["witnesses"]) for one in actions]


async def test_what_is_no_cosignature_is_refused(here: Here) -> None:
    """Strangers, forged signatures, checkpoints that are not ours, and no notes at all."""
    note = await signed(here)
    text = parse_note(note).text
    other = text.replace("\n", "1\n", 2).replace("1\n", "\n", 1)
    assert_problem(await post(here, note), "unknown_witness")
    assert_problem(await post(here, cosigned(note, STRANGER, "w.example")), "unknown_witness")
    forged = cosigned(note, STRANGER).rpartition("—")
    line = cosigned(note).rpartition("—")[2].split()[1]
    wrong = f"{forged[0]}— {NAME} {line[:-6]}AAAA==\n"
    assert_problem(await post(here, wrong), "cosignature_invalid")
    strange = f"{other}\n{sign_line(WITNESS, NAME, other, 1_795_000_000)}"
    assert_problem(await post(here, strange), "unknown_checkpoint")
    for nothing in ("", "x", text):
        assert_problem(await post(here, nothing), "cosignature_invalid")


async def test_who_may_not_read_the_audit_gets_no_checkpoint(here: Here) -> None:
    """A program's key, and a person without the scope, are refused."""
    key = await here.new_key("score")
    answer = await here.client.get(
        "/v1/audit/checkpoints/latest", {"Authorization": f"Bearer {key}"}
    )
    assert_problem(answer, "missing_scope")


async def test_the_command_line_prints_and_takes_the_same(here: Here, tmp_path: Path) -> None:
    """`ledger checkpoint` writes the note, `--cosign` takes it back, `status` knows the witness."""
    note = await signed(here)
    path = tmp_path / "note"
    assert run(here, "checkpoint", "--out", str(path)).returncode == 0
    assert path.read_text() == note
    path.write_text(cosigned(note))
    again = run(here, "checkpoint", "--out", str(path))
    assert again.returncode == 1
    assert f"{path} is there already, and is kept as it is" in again.stderr
    assert path.read_text() == cosigned(note)
    proving = run(here, "prove", "00" * 16, "--out", str(path))
    assert f"{path} is there already" in proving.stderr
    taken = run(here, "checkpoint", "--cosign", str(path))
    assert f"{NAME} cosigned" in taken.stdout, taken.stderr
    assert run(here, "checkpoint").stdout == cosigned(note)
    key = run(here, "checkpoint", "--key").stdout.strip()
    verify_note(parse_note(note), parse_vkey(key))
    status = run(here, "status")
    assert f"{NAME} has seen" in status.stdout
    path.write_text("nothing")
    refused = run(here, "checkpoint", "--cosign", str(path))
    assert refused.returncode == 1
    assert "no signed checkpoint" in refused.stderr


async def test_readiness_and_metrics_say_how_far_behind_the_signature_is(here: Here) -> None:
    """All covered; then entries wait; then the signer refuses: each shows."""
    await signed(here)
    watch, metrics = here.runtime.record_watch, here.runtime.metrics
    await watch.look()
    assert watch.state() == (True, watch.state()[1])
    assert b"touchstone_unsigned_seconds 0.0" in metrics.render()
    assert (await here.client.score(event("login"))).status == 200
    await watch.look()
    watch._waits_since = (watch._waits_since or 0) - 60  # a minute ago
    ok, detail = watch.state()
    assert not ok
    assert "1 not yet" in detail
    connection = await asyncpg.connect(here.settings.postgres.url)
    await connection.execute("INSERT INTO ledger_signer (code, problem) VALUES ('log_forked', 'x')")
    await watch.look()
    assert "log_forked" in watch.state()[1]
    assert b"touchstone_signer_refuses 1.0" in metrics.render()
    answer = await here.client.get("/readyz")
    assert answer.status == 200  # decisions go on: they are recorded
    assert answer.json["resources"]["record"]["ok"] is False
    await connection.execute("DELETE FROM ledger_signer")
    await connection.close()


def run(here: Here, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `touchstone ledger` beside the service."""
    environment = {
        **os.environ, **environment_of(here.settings),
        "TOUCHSTONE_LEDGER__WITNESSES": json.dumps([VKEY]),
    }  # fmt: skip
    return subprocess.run(
        [*touchstone("ledger", *arguments), "--var", str(here.settings.var)],
        capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip
