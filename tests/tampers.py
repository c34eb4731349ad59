"""What a superuser of the database may do to the record: at random, crudely or with every hash made
to fit again.

Not among them, for they leave the same traces as what is allowed: erasing a person (subject blocks,
their keys and links), and entries that no checkpoint covers. Invariant: each changes a table.
"""

# ruff: noqa: S608 -- the names of tables and columns are those written here

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.ledger.keys import FileKek, Keyring
from service.ledger.note import Checkpoint, checkpoint_text, parse_vkey, sign_line, vkey_of
from service.ledger.placed import Trusted
from service.ledger.report import Report
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.verify import verify_log
from service.ledger.writer import LedgerWriter, WriterSettings
from service.signer.state import SignerFiles
from tests.integration.ledger_cases import KEK, draft
from tests.keeping import checkpointed

LOG = "test"
# More than 256, so that there are stored nodes above the leaves.
ENTRIES = 300
TABLES = (
    "ledger_entry", "entry_subject", "subject_key", "ledger_key", "ledger_writer", "ledger_queue",
    "ledger_tree", "ledger_leaf", "ledger_node", "ledger_checkpoint", "ledger_manifest",
    "ledger_signer_key",
)  # fmt: skip
Tamper = Callable[[Any, random.Random], Awaitable[None]]


class Record:
    """A signed log that can be put back; `kept` is the last checkpoint, which an auditor keeps."""

    def __init__(self, dsn: str, connection: Any, signer: Path, kept: str) -> None:
        self.dsn, self.connection, self.signer, self.kept = dsn, connection, signer, kept

    @classmethod
    async def begun(cls, dsn: str, connection: Any, base: Path) -> Record:
        """Record, sign, record and sign again; nobody asks constraints from then on."""
        ring, signer = Keyring(FileKek(KEK)), base / "signer"
        kept = ""
        for _ in range(2):
            writer = await LedgerWriter.start(WriterSettings(dsn, LOG, base / "spool"), ring)
            drafts = [
                draft(
                    os.urandom(8).hex(),
                    person=f"user:{number % 7}",
                    staff=b"{}" if number % 5 == 0 else None,
                )
                for number in range(ENTRIES // 2)
            ]
            await asyncio.gather(*(writer.append(one, timeout_s=30) for one in drafts))
            await writer.close()
            kept = await checkpointed(dsn, signer, LOG)
        await connection.execute(_UNBOUND)
        for table in TABLES:
            await connection.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")
        return cls(dsn, connection, signer, kept)

    async def put_back(self) -> None:
        """Undo whatever was done."""
        for table in TABLES:
            over = "OVERRIDING SYSTEM VALUE" if table == "ledger_checkpoint" else ""
            await self.connection.execute(
                f"DELETE FROM {table}; INSERT INTO {table} {over} TABLE kept_{table}"
            )

    async def verified(self) -> Report:
        """Return what `ledger verify` finds where the signer's memory is."""
        state = SignerFiles(self.signer).load()
        assert state is not None
        memory = Checkpoint(state.origin, state.size, state.tree().root())
        keys = tuple(link.verifier for link in state.keys)
        return await self._verified(FileKek(KEK), Trusted(keys, memory=memory))

    async def audited(self) -> Report:
        """Return what somebody finds who has the public key and a checkpoint, and no secret."""
        state = SignerFiles(self.signer).load()
        assert state is not None
        return await self._verified(None, Trusted((state.keys[0].verifier,), since=self.kept))

    async def _verified(self, wrapper: FileKek | None, trusted: Trusted) -> Report:
        return await verify_log(self.dsn, wrapper=wrapper, log=LOG, trusted=trusted)


_UNBOUND = """
ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_writer_seq_key,
    DROP CONSTRAINT ledger_entry_event_key_key, DROP CONSTRAINT ledger_entry_pkey;
ALTER TABLE ledger_leaf DROP CONSTRAINT ledger_leaf_pkey,
    DROP CONSTRAINT ledger_leaf_entry_id_key;
"""


async def rehashed(connection: Any) -> None:
    """Make leaves, nodes, peaks and size fit the headers, in the order of the leaves."""
    rows = await connection.fetch(
        "SELECT l.entry_id, e.header FROM ledger_leaf l JOIN ledger_entry e USING (entry_id) "
        "ORDER BY l.idx"
    )
    leaves = [leaf_hash(row["header"]) for row in rows]
    peaks = Peaks()
    nodes = peaks.extend(leaves, 8)
    await connection.execute("DELETE FROM ledger_leaf; DELETE FROM ledger_node")
    await connection.executemany(
        "INSERT INTO ledger_leaf (idx, entry_id, hash) VALUES ($1, $2, $3)",
        [
            (idx, row["entry_id"], leaf)
            for idx, (row, leaf) in enumerate(zip(rows, leaves, strict=True))
        ],
    )
    await connection.executemany("INSERT INTO ledger_node VALUES ($1, $2, $3)", nodes)
    await connection.execute(
        "UPDATE ledger_tree SET size = $1, peaks = $2", peaks.size, peaks.to_bytes()
    )


async def entry_at(connection: Any, chance: random.Random) -> bytes:
    """Return the id of a random entry of the tree."""
    found: bytes = await connection.fetchval(
        "SELECT entry_id FROM ledger_leaf ORDER BY idx OFFSET $1 LIMIT 1",
        chance.randrange(ENTRIES),
    )
    return found


def flipped(table: str, column: str, key: str) -> Tamper:
    """Flip a bit in a column of bytes of a random row."""

    async def act(connection: Any, chance: random.Random) -> None:
        row = await connection.fetchrow(
            f"SELECT {key} AS key, {column} AS value FROM {table} "
            f"WHERE length({column}) > 0 ORDER BY {key} OFFSET $1 LIMIT 1",
            chance.randrange(
                await connection.fetchval(
                    f"SELECT count(*) FROM {table} WHERE length({column}) > 0"
                )
            ),
        )
        value = bytearray(row["value"])
        value[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
        await connection.execute(
            f"UPDATE {table} SET {column} = $1 WHERE {key} = $2", bytes(value), row["key"]
        )

    return act


def said(statement: str, *, again: bool = False) -> Tamper:
    """Run a statement; `$1` is a random entry. With `again` all hashes are made to fit."""

    async def act(connection: Any, chance: random.Random) -> None:
        entry = await entry_at(connection, chance)
        for part in statement.split(";"):
            await connection.execute(part, *([entry] if "$1" in part else []))
        if again:
            await rehashed(connection)

    return act


async def rolled_back(connection: Any, chance: random.Random) -> None:
    """Take the newest entries out, with every trace of them."""
    size = ENTRIES - chance.randint(1, ENTRIES // 2)
    await connection.execute(
        "DELETE FROM ledger_entry WHERE entry_id IN "
        "(SELECT entry_id FROM ledger_leaf WHERE idx >= $1)",
        size,
    )
    await connection.execute("DELETE FROM ledger_leaf WHERE idx >= $1", size)
    await connection.execute("DELETE FROM ledger_checkpoint WHERE size > $1", size)
    await connection.execute(
        "DELETE FROM entry_subject WHERE entry_id NOT IN (SELECT entry_id FROM ledger_entry)"
    )
    await connection.execute(
        "DELETE FROM ledger_writer WHERE writer NOT IN (SELECT writer FROM ledger_entry)"
    )
    await connection.execute(
        "UPDATE ledger_writer w SET last_seq = "
        "(SELECT max(seq) FROM ledger_entry e WHERE e.writer = w.writer)"
    )
    await rehashed(connection)


async def signed_anew(connection: Any, chance: random.Random) -> None:
    """Change an entry, make everything fit, and sign it with a key of one's own."""
    await said(RETYPE, again=True)(connection, chance)
    key = Ed25519PrivateKey.generate()
    tree = await connection.fetchrow("SELECT size, peaks FROM ledger_tree")
    root = Peaks.from_bytes(tree["size"], tree["peaks"]).root()
    text = checkpoint_text(Checkpoint(LOG, tree["size"], root))
    note = f"{text}\n{sign_line(key, LOG, text)}"
    await connection.execute("DELETE FROM ledger_checkpoint")
    await connection.execute(
        "INSERT INTO ledger_checkpoint (origin, size, root, note, signed_at) "
        "VALUES ($1, $2, $3, $4, now())",
        LOG, tree["size"], root, note,
    )  # fmt: skip
    if chance.random() < 0.5:
        vkey = vkey_of(LOG, key.public_key().public_bytes_raw())
        assert parse_vkey(vkey)
        await connection.execute("UPDATE ledger_signer_key SET vkey = $1", vkey)


async def places_swapped(connection: Any, chance: random.Random) -> None:
    """Let two entries trade places in the tree, with all hashes made to fit."""
    one, other = chance.sample(range(ENTRIES), 2)
    await connection.execute(
        "UPDATE ledger_leaf SET idx = CASE idx WHEN $1 THEN $2 ELSE $1 END WHERE idx IN ($1, $2)",
        one, other,
    )  # fmt: skip
    await rehashed(connection)


RETYPE = (
    "UPDATE ledger_entry SET type = 'event', header = convert_to(replace(convert_from(header, "
    "'utf8'), '\"decision\"', '\"event\"'), 'utf8') WHERE entry_id = $1"
)
REMOVE = (
    "DELETE FROM ledger_leaf WHERE entry_id = $1; DELETE FROM entry_subject WHERE entry_id = $1; "
    "DELETE FROM ledger_entry WHERE entry_id = $1"
)
FORGE = (
    "INSERT INTO ledger_entry (entry_id, type, writer, seq, observed, header, core, subject) "
    "SELECT decode(md5(entry_id), 'hex'), type, writer, seq, observed, header, core, subject "
    "FROM ledger_entry WHERE entry_id = $1; "
    "INSERT INTO ledger_leaf SELECT idx + 1000, decode(md5(entry_id), 'hex'), hash "
    "FROM ledger_leaf WHERE entry_id = $1"
)
# In the tree: whoever has the public key and a checkpoint finds these too.
IN_THE_TREE: dict[str, Tamper] = {
    "header": flipped("ledger_entry", "header", "entry_id"),
    "core": flipped("ledger_entry", "core", "entry_id"),
    "subject": flipped("ledger_entry", "subject", "entry_id"),
    "staff": flipped("ledger_entry", "staff", "entry_id"),
    "leaf hash": flipped("ledger_leaf", "hash", "idx"),
    "node": flipped("ledger_node", "hash", "idx"),
    "peaks": flipped("ledger_tree", "peaks", "size"),
    "root": flipped("ledger_checkpoint", "root", "id"),
    "type": said("UPDATE ledger_entry SET type = 'event' WHERE entry_id = $1"),
    "type, made to fit": said(RETYPE, again=True),
    "seq": said("UPDATE ledger_entry SET seq = seq + 1000 WHERE entry_id = $1"),
    "time": said("UPDATE ledger_entry SET observed = now() WHERE entry_id = $1"),
    "entry removed": said("DELETE FROM ledger_entry WHERE entry_id = $1"),
    "entry and leaf removed": said(REMOVE),
    "entry removed, made to fit": said(REMOVE, again=True),
    "entry forged": said(FORGE),
    "entry forged, made to fit": said(FORGE, again=True),
    "places swapped, made to fit": places_swapped,
    "leaf removed": said("DELETE FROM ledger_leaf WHERE entry_id = $1"),
    "leaf of another entry": said(
        "UPDATE ledger_leaf SET entry_id = sha256(entry_id) WHERE entry_id = $1"
    ),
    "waits again": said("INSERT INTO ledger_queue VALUES ($1)"),
    "waits for nothing": said("INSERT INTO ledger_queue VALUES (sha256($1))"),
    "nodes removed": said("DELETE FROM ledger_node"),
    "node added": said("INSERT INTO ledger_node VALUES (9, 7, sha256('x'))"),
    "size": said("UPDATE ledger_tree SET size = size - 1"),
    "origin": said("UPDATE ledger_tree SET origin = origin || '/2'"),
    "tree removed": said("DELETE FROM ledger_tree"),
    "checkpoints removed": said("DELETE FROM ledger_checkpoint"),
    "checkpoint of another size": said("UPDATE ledger_checkpoint SET size = size - 1"),
    "checkpoint of another time": said("UPDATE ledger_checkpoint SET signed_at = '2020-01-01'"),
    "checkpoint of another origin": said("UPDATE ledger_checkpoint SET origin = 'other'"),
    "note cut": said("UPDATE ledger_checkpoint SET note = left(note, -9)"),
    "rolled back": rolled_back,
    "signed anew": signed_anew,
    "signer's key": said("UPDATE ledger_signer_key SET vkey = 'x+00000000+AQ=='"),
    "writer removed": said("DELETE FROM ledger_writer"),
    "writer stopped later": said("UPDATE ledger_writer SET last_seq = last_seq + 1"),
}  # fmt: skip
# Beside the tree: found with the key-encryption key.
BESIDE_THE_TREE: dict[str, Tamper] = {
    "event key": flipped("ledger_entry", "event_key", "entry_id"),
    "event key removed": said("UPDATE ledger_entry SET event_key = NULL WHERE entry_id = $1"),
    "body hash": flipped("ledger_entry", "body_hash", "entry_id"),
    "month key": flipped("ledger_key", "wrapped", "name"),
    "month keys removed": said("DELETE FROM ledger_key"),
    "month key renamed": said("UPDATE ledger_key SET name = name || '0'"),
    "subject key": flipped("subject_key", "wrapped", "key_id"),
    "subject tag": said("UPDATE subject_key SET subject_tag = subject_tag || 'x'"),
    "subject's link": said(
        "UPDATE entry_subject SET key_id = (SELECT max(key_id) FROM subject_key k "
        "WHERE k.key_id <> entry_subject.key_id) WHERE entry_id = $1"
    ),
}


async def tampered(record: Record, count: int, seed: int) -> tuple[list[str], list[str]]:
    """Try random tampers; return those that the owner's and the auditor's verification missed."""
    chance = random.Random(seed)
    missed: list[str] = []
    unseen: list[str] = []
    everything = {**IN_THE_TREE, **BESIDE_THE_TREE}
    names = [*everything, *chance.choices(list(everything), k=max(count - len(everything), 0))]
    for name in names[:count]:
        await everything[name](record.connection, chance)
        if (await record.verified()).exit_code == 0:
            missed.append(name)
        if name in IN_THE_TREE and (await record.audited()).exit_code == 0:
            unseen.append(name)
        await record.put_back()
    return missed, unseen
