"""Each check of the tree finds what it is there for, by its own name: a check that is lost is not
hidden by its neighbours."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.embedded import EmbeddedServers
from service.ledger.note import (
    Checkpoint,
    VerifierKey,
    checkpoint_text,
    manifest_text,
    next_key_text,
    parse_note,
    parse_vkey,
    sign_line,
    vkey_of,
)
from service.ledger.placed import Trusted
from service.ledger.report import Report, report_texts
from service.ledger.tree.peaks import Peaks
from service.ledger.verify import verify_log
from service.migrate import migrate
from service.signer.state import SignerFiles
from tests.tampers import ENTRIES, LOG, Record, rehashed

NOON = 1_790_000_000
INVALID, GAP, INCOMPLETE, UNTRUSTED = 2, 3, 4, 5


class Party(NamedTuple):
    """Somebody with a key."""

    name: str
    private: Ed25519PrivateKey

    @property
    def vkey(self) -> str:
        """The public key, as text."""
        return vkey_of(self.name, self.private.public_key().public_bytes_raw())

    @property
    def key(self) -> VerifierKey:
        """The public key."""
        return parse_vkey(self.vkey)

    def note(self, text: str, time: int | None = None) -> str:
        """Return the text, signed."""
        return f"{text}\n{sign_line(self.private, self.name, text, time)}"


class Signed(NamedTuple):
    """A signed log, its signer's key, and its root."""

    record: Record
    connection: Any
    signer: Party
    root: bytes

    async def found(self, *statements: str, trusted: Trusted | None = None) -> Report:
        """Return what is found after the statements, which are undone; by default under the key."""
        for statement in statements:
            await self.connection.execute(statement)
        try:
            return await self.reported(trusted)
        finally:
            await self.connection.execute("DELETE FROM ledger_cosignature")
            await self.record.put_back()

    async def reported(self, trusted: Trusted | None = None) -> Report:
        """Return what is found as it is."""
        trusted = trusted or Trusted((self.signer.key,))
        return await verify_log(self.record.dsn, log=LOG, trusted=trusted)

    def checkpoint(self, by: Party, size: int = ENTRIES, root: bytes | None = None) -> str:
        """Return a checkpoint that is signed by somebody."""
        return by.note(checkpoint_text(Checkpoint(LOG, size, root or self.root)), NOON)

    async def publish(self, note: str, root: bytes | None = None) -> None:
        """Let a checkpoint of the whole tree be the only one."""
        await self.connection.execute("DELETE FROM ledger_checkpoint")
        await self.connection.execute(
            "INSERT INTO ledger_checkpoint (origin, size, root, note, signed_at) "
            "VALUES ($1, $2, $3, $4, to_timestamp($5::bigint))",
            LOG, ENTRIES, root or self.root, note, NOON,
        )  # fmt: skip


@pytest.fixture
async def signed(servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path) -> Any:
    """A signed log in a database of its own, whose orphans no constraint forbids."""
    await migrate(fresh_postgres_url)
    connection = await asyncpg.connect(fresh_postgres_url)
    record = await Record.begun(fresh_postgres_url, connection, tmp_path)
    await connection.execute(
        "ALTER TABLE ledger_cosignature DROP CONSTRAINT ledger_cosignature_checkpoint_id_fkey"
    )
    files = SignerFiles(record.signer)
    state = files.load()
    assert state is not None
    key = state.keys[-1].verifier
    signer = Party(key.name, files.private_key(key))
    yield Signed(record, connection, signer, state.tree().root())
    await connection.close()


def stranger(name: str = LOG) -> Party:
    return Party(name, Ed25519PrivateKey.generate())


# What is done -> what is found, all of it, and the exit code.
TREE: dict[str, tuple[str, set[str], int]] = {
    "nothing": ("SELECT", set(), 0),
    "peaks": (
        "UPDATE ledger_tree SET peaks = sha256('x') || substring(peaks FROM 33)",
        {"peaks"},
        INVALID,
    ),
    "a node": ("UPDATE ledger_node SET hash = sha256('x')", {"node"}, INVALID),
    "a node too many": ("INSERT INTO ledger_node VALUES (9, 7, sha256('x'))", {"nodes"}, INVALID),
    "a leaf is of nothing": (
        "UPDATE ledger_leaf SET entry_id = sha256(entry_id) WHERE idx = 5",
        {"leaf_entry", "unplaced"},
        INVALID,
    ),
    "a leaf's number": (
        "UPDATE ledger_leaf SET idx = 300 WHERE idx = 299",
        {"leaf_hole"},
        GAP,
    ),
    "a header's last letter": (
        "UPDATE ledger_entry SET header = header || ' ' WHERE seq = 5",
        {"leaf_hash", "header"},
        INVALID,
    ),
    "an entry waits for nothing": (
        "INSERT INTO ledger_queue VALUES (sha256('x'))", {"queue_empty"}, GAP,
    ),
    "a placed entry waits": (
        "INSERT INTO ledger_queue SELECT entry_id FROM ledger_leaf WHERE idx = 7",
        {"queue_placed"},
        INVALID,
    ),
    "an entry stands nowhere": (
        "DELETE FROM ledger_leaf WHERE idx = 299",
        {"unplaced", "peaks", "checkpoint_ahead"},
        INVALID,
    ),
    "a cut note": ("UPDATE ledger_checkpoint SET note = left(note, -9)",
        {"checkpoint", "unsigned"},
        INVALID,
    ),
    "a note of another size": (
        "UPDATE ledger_checkpoint SET note = overlay(note PLACING '7' FROM 6), size = size",
        {"checkpoint", "unsigned"},
        INVALID,
    ),
    "a row of another size": (
        "UPDATE ledger_checkpoint SET size = size - 1", {"checkpoint_row"}, INVALID,
    ),
    "a row of another time": (
        "UPDATE ledger_checkpoint SET signed_at = '2020-01-01'", {"checkpoint_row"}, INVALID,
    ),
    "no checkpoint": ("DELETE FROM ledger_checkpoint", {"unsigned"}, INCOMPLETE),
    "another origin": (
        "UPDATE ledger_tree SET origin = 'other'", {"origin", "unsigned"}, INVALID,
    ),
}  # fmt: skip


async def test_what_is_done_to_the_tree_is_called_by_its_name(signed: Signed) -> None:
    """Each change is found as what it is, and nothing else is."""
    for name, (statement, codes, code) in TREE.items():
        report = await signed.found(statement)
        assert (report.found_codes, report.exit_code) == (codes, code), (name, report.render())


async def test_entries_of_a_writer_stand_in_the_order_of_their_numbers(signed: Signed) -> None:
    """Two that trade places, with every hash made to fit, and signed so: the order tells."""
    await signed.connection.execute("UPDATE ledger_leaf SET idx = 15 - idx WHERE idx IN (7, 8)")
    await rehashed(signed.connection)
    tree = await signed.connection.fetchrow("SELECT size, peaks FROM ledger_tree")
    root = Peaks.from_bytes(tree["size"], tree["peaks"]).root()
    await signed.publish(signed.checkpoint(signed.signer, root=root), root)
    report = await signed.found()
    assert (report.found_codes, report.exit_code) == ({"leaf_order"}, INVALID), report.render()


async def test_what_was_kept_elsewhere_is_held_against_the_tree(signed: Signed) -> None:
    """A checkpoint that somebody kept, and the signer's memory: another root, or more entries."""
    key, thief, size = signed.signer.key, stranger(), ENTRIES // 2
    wrong = {"checkpoint_root"}
    assert (await signed.found(trusted=Trusted((key,), since=signed.record.kept))).exit_code == 0
    for trusted, codes, code in (
        (Trusted((key,), since=signed.checkpoint(signed.signer, size)), wrong, INVALID),
        (Trusted((key,), memory=Checkpoint(LOG, size, signed.root)), wrong, INVALID),
        (
            Trusted((key,), since=signed.checkpoint(signed.signer, ENTRIES + 1)),
            {"checkpoint_ahead"},
            GAP,
        ),
        (
            Trusted((key,), memory=Checkpoint(LOG, ENTRIES + 1, signed.root)),
            {"checkpoint_ahead"},
            GAP,
        ),
        (Trusted((key,), since=signed.checkpoint(thief)), {"checkpoint_key"}, UNTRUSTED),
        (Trusted((key,), memory=Checkpoint("other", size, signed.root)), wrong | {"origin"}, 2),
    ):
        report = await signed.found(trusted=trusted)
        assert (report.found_codes, report.exit_code) == (codes, code), (trusted, report.render())


async def test_only_a_loss_of_this_log_is_a_loss(signed: Signed) -> None:
    """What was signed under an earlier name is lost, and told; under a stranger's it is wrong."""
    renamed = (
        "UPDATE ledger_tree SET origin = origin || '/2'",
        "DELETE FROM ledger_checkpoint",
    )
    key = signed.signer.key
    for origin, codes, code, lost in (
        (LOG, {"since_lost", "unsigned"}, GAP, ENTRIES + 9),
        ("other", {"checkpoint_ahead", "checkpoint_key", "unsigned"}, GAP, 0),
    ):
        signer = signed.signer if origin == LOG else stranger(origin)
        text = checkpoint_text(Checkpoint(origin, ENTRIES + 9, signed.root))
        report = await signed.found(*renamed, trusted=Trusted((key,), since=signer.note(text)))
        assert (report.found_codes, report.exit_code) == (codes, code), report.render()
        assert report.lost == lost


async def test_a_key_of_the_database_is_not_the_signers(signed: Signed) -> None:
    """A stranger who signs the true tree and calls his key the log's is not trusted, but where
    nobody has another key; then the report says so."""
    thief = stranger()
    await signed.publish(signed.checkpoint(thief))
    await signed.connection.execute("UPDATE ledger_signer_key SET vkey = $1", thief.vkey)
    report = await signed.reported()
    assert (report.found_codes, report.exit_code) == ({"checkpoint_key"}, UNTRUSTED)
    assert (report.unknown_keys, report.key_from_database) == (1, False)
    report = await signed.reported(Trusted())
    assert (report.exit_code, report.key_from_database) == (0, True), report.render()
    assert report_texts()["open_key"]["en"] in report.render()


async def test_a_key_follows_by_the_statement_of_the_one_before(signed: Signed) -> None:
    """Handed over to, a key is trusted; by a stranger's word, or another's name, it is not."""
    after, thief = stranger(), stranger()
    good = signed.signer.note(next_key_text(LOG, after.vkey))
    other = signed.signer.note(next_key_text(LOG, stranger().vkey))
    for statement, codes, code, unknown in (
        (good, set[str](), 0, 0),
        (thief.note(next_key_text(LOG, after.vkey)), {"checkpoint_key"}, UNTRUSTED, 1),
        (None, {"checkpoint_key"}, UNTRUSTED, 1),
        (other, {"signer_key", "checkpoint_key"}, INVALID, 1),
        (good.replace(LOG, "toast", 1), {"signer_key", "checkpoint_key"}, INVALID, 0),
        ("no statement", {"signer_key", "checkpoint_key"}, INVALID, 0),
    ):
        await signed.publish(signed.checkpoint(after))
        await signed.connection.execute(
            "INSERT INTO ledger_signer_key (position, vkey, statement) VALUES (2, $1, $2)",
            after.vkey, statement,
        )  # fmt: skip
        report = await signed.found()
        assert (report.found_codes, report.exit_code) == (codes, code), (statement, report.render())
        assert report.unknown_keys == unknown, statement


async def test_cosignatures_hold_for_their_checkpoint(signed: Signed) -> None:
    """One by a known witness counts; one of another checkpoint, name or nothing is invalid."""
    witness = stranger("w.example")
    trusted = Trusted((signed.signer.key,), witnesses=(witness.key,))
    row = await signed.connection.fetchrow(
        "SELECT id, note FROM ledger_checkpoint ORDER BY id DESC LIMIT 1"
    )
    text = parse_note(row["note"]).text
    good = sign_line(witness.private, witness.name, text, NOON)
    for checkpoint, name, line, codes, cosigned, unknown in (
        (row["id"], witness.name, good, set[str](), 1, 0),
        (row["id"], "v.example", good, {"cosignature"}, 0, 0),
        (row["id"] + 9, witness.name, good, {"cosignature"}, 0, 0),
        (row["id"] - 1, witness.name, good, {"cosignature"}, 0, 0),
        (row["id"], witness.name, "no line", {"cosignature"}, 0, 0),
        (
            row["id"],
            "v.example",
            sign_line(witness.private, "v.example", text, NOON),
            set[str](),
            0,
            1,
        ),
    ):
        await signed.connection.execute(
            "INSERT INTO ledger_cosignature VALUES ($1, $2, $3)", checkpoint, name, line
        )
        report = await signed.found(trusted=trusted)
        assert report.found_codes == codes, (name, line, report.render())
        assert report.exit_code == (INVALID if codes else 0)
        assert (report.cosigned, report.unknown_witnesses) == (cosigned, unknown), line


async def test_manifests_are_signed_for_their_export(signed: Signed) -> None:
    """The signer's note about another export or another hash, or a stranger's: each is told."""
    export, digest, thief = uuid.uuid4(), bytes(range(32)), stranger()
    text = manifest_text(export, digest)
    other = manifest_text(uuid.uuid4(), digest)
    for note, codes, code in (
        (signed.signer.note(text), set[str](), 0),
        (signed.signer.note(other), {"manifest"}, INVALID),
        (signed.signer.note(manifest_text(export, bytes(32))), {"manifest"}, INVALID),
        (thief.note(text), {"checkpoint_key"}, UNTRUSTED),
        ("no note", {"manifest"}, INVALID),
        (signed.signer.note(other).replace(other, text), {"manifest"}, INVALID),
    ):
        await signed.connection.execute(
            "INSERT INTO ledger_manifest (export_id, sha256, note, signed_at) "
            "VALUES ($1, $2, $3, now())",
            export, digest, note,
        )  # fmt: skip
        report = await signed.found()
        assert (report.found_codes, report.exit_code) == (codes, code), (note, report.render())
