"""What `ledger fsck` and `ledger status` find, and that they call nothing clean that is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.fsck import look_over
from service.ledger.keys import Keyring
from service.ledger.spooled import spools
from service.ledger.writer import LedgerWriter, WriterSettings
from service.settings import Settings
from service.signer.standing import settled, standing
from service.signer.words import words
from tests.integration.ledger_cases import append_many
from tests.keeping import checkpointed, sequenced
from tests.soak.fault_child import AWAY

pytest_plugins = ["tests.integration.ledger_fixtures"]
LOG = "test"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A machine with its files under the test's directory."""
    return Settings(var=tmp_path, ledger={"log_name": LOG})


@pytest.fixture
async def signed(ledger_dsn: str, writer: LedgerWriter, settings: Settings) -> None:
    """Three entries, signed."""
    await append_many(writer, 3)
    await checkpointed(ledger_dsn, settings.signer_dir, LOG)


async def codes(connection: Any, settings: Settings) -> list[str]:
    """What fsck finds that may not stay."""
    return [item.code for item in await look_over(connection, settings) if not item.is_fine]


async def test_a_whole_record_is_clean(connection: Any, settings: Settings, signed: None) -> None:
    """Nothing waits and nothing lies about, with a writer at work."""
    items = await look_over(connection, settings)
    assert [(item.code, item.is_fine) for item in items] == [("clean", True), ("living", True)]


async def test_what_processes_left_is_named(
    connection: Any, settings: Settings, signed: None, tmp_path: Path
) -> None:
    """Half-written files of the signer and of keys, and keys that sign no more."""
    (settings.signer_dir / "state.json.new").write_bytes(b"{")
    (settings.signer_dir / "0123abcd.key").write_bytes(bytes(32))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "kek.new").write_bytes(b"")
    assert await codes(connection, settings) == ["leftover", "leftover", "half_written"]


async def test_spools_are_told_apart(
    connection: Any, settings: Settings, signed: None, ring: Keyring, tmp_path: Path
) -> None:
    """One that a living writer has, one with entries to bring in, one that is damaged."""
    left = await LedgerWriter.start(WriterSettings(AWAY, LOG, tmp_path / "spool"), ring)
    await append_many(left, 2)
    await left.close()
    damaged = await LedgerWriter.start(WriterSettings(AWAY, LOG, tmp_path / "spool"), ring)
    await append_many(damaged, 1)
    await append_many(damaged, 1)
    assert damaged._backlog.spool is not None
    path = damaged._backlog.spool.path
    await damaged.close()
    raw = bytearray(path.read_bytes())
    raw[60] ^= 1
    path.write_bytes(raw)
    assert sorted(await codes(connection, settings)) == ["spool_damaged", "spool_waits"]
    files = {file.path: file for file in await spools(connection, tmp_path / "spool")}
    assert (files[path].damaged, files[path].waiting) == (1, 1)
    assert [file.is_living for file in files.values()].count(True) == 1
    found = await standing(connection, settings, sum(file.waiting for file in files.values()))
    assert not found.is_well


async def test_what_is_not_placed_or_not_signed_is_named(
    ledger_dsn: str, connection: Any, settings: Settings, signed: None, writer: LedgerWriter
) -> None:
    """Without a sequencer, then without a signer: how many entries wait for whom."""
    await append_many(writer, 2)
    assert "queue_waits" in await codes(connection, settings)
    await sequenced(ledger_dsn, LOG)
    assert "unsigned_waits" in await codes(connection, settings)
    await connection.execute("UPDATE ledger_checkpoint SET signed_at = now() - interval '1 minute'")
    found = await standing(connection, settings, 0)
    assert (found.unsigned, found.is_well) == (2, False)
    assert "2 recorded entries are NOT covered" in found.lines("en")[0]
    await checkpointed(ledger_dsn, settings.signer_dir, LOG)
    assert await codes(connection, settings) == []
    assert (await standing(connection, settings, 0)).is_well


async def test_an_entry_of_this_second_is_not_late(
    ledger_dsn: str, connection: Any, settings: Settings, signed: None, writer: LedgerWriter
) -> None:
    """On a log whose last checkpoint is old, what comes gets the time that it takes to sign it."""
    await connection.execute("UPDATE ledger_checkpoint SET signed_at = now() - interval '1 minute'")
    await append_many(writer, 1)
    looks = asyncio.create_task(settled(connection, settings))
    await asyncio.sleep(1)
    assert not looks.done()
    await checkpointed(ledger_dsn, settings.signer_dir, LOG)
    assert (await looks).is_well
    await append_many(writer, 1)
    await connection.execute("UPDATE ledger_checkpoint SET signed_at = now() - interval '1 minute'")
    assert not (await settled(connection, settings)).is_well


async def test_a_checkpoint_that_was_not_published_is_named(
    connection: Any, settings: Settings, signed: None
) -> None:
    """It is on disk and not in the database: the signer has to run."""
    await connection.execute("DELETE FROM ledger_checkpoint")
    assert "unpublished" in await codes(connection, settings)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE ledger_tree SET size = 2", "log_rolled_back"),
        ("UPDATE ledger_leaf SET hash = sha256('x') WHERE idx = 1", "log_forked"),
        ("UPDATE ledger_signer_key SET vkey = 'x+00000000+AQ=='", "other_signer"),
    ],
)
async def test_a_contradiction_is_the_first_thing_said(
    connection: Any, settings: Settings, signed: None, statement: str, code: str
) -> None:
    """In both languages, with what to do."""
    await connection.execute(statement)
    items = await look_over(connection, settings)
    assert (items[0].code, items[0].details[0]) == ("disagrees", code)
    found = await standing(connection, settings, 0)
    assert found.refusal is not None
    assert found.refusal.code == code
    for language in ("en", "zh"):
        lines = found.lines(language)
        assert lines[0] == words()["refused"][language]
        assert words()[code][language] in lines


async def test_a_broken_memory_is_a_finding_and_no_traceback(
    connection: Any, settings: Settings, signed: None
) -> None:
    """Damage, and a private key that others may read."""
    (key,) = settings.signer_dir.glob("*.key")
    key.chmod(0o644)
    assert await codes(connection, settings) == ["disagrees"]
    (settings.signer_dir / "state.json").write_text("{}")
    items = await look_over(connection, settings)
    assert items[0].details[0] == "signer_broken"
