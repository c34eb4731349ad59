"""Does the tree hold what the table holds, and is it the tree that was signed?

Reads leaves in their order beside the headers, grows the tree anew and holds it against the stored
nodes, every checkpoint and what the caller trusts from elsewhere: public keys, a checkpoint that
was kept, the signer's own memory. Invariant: nothing of the tree is believed because it is stored.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.ledger.note import (
    Checkpoint,
    Note,
    NoteInvalid,
    VerifierKey,
    cosigner,
    manifest_text,
    parse_checkpoint,
    parse_line,
    parse_next_key,
    parse_note,
    parse_vkey,
    verify_line,
)
from service.ledger.report import Kind, Report
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Node, Peaks
from service.ledger.tree.stored import STORED_LEVEL

BATCH = 2048

_TREE = "SELECT origin, size, peaks FROM ledger_tree"
_LEAVES = """
SELECT l.idx, l.entry_id, l.hash, e.header, e.writer, e.seq
FROM ledger_leaf l LEFT JOIN ledger_entry e ON e.entry_id = l.entry_id ORDER BY l.idx
"""
_NODES = """
SELECT level, idx, hash FROM ledger_node
WHERE (level, idx) IN (SELECT * FROM unnest($1::smallint[], $2::bigint[]))
"""
_CHECKPOINTS = "SELECT id, origin, size, root, note, signed_at FROM ledger_checkpoint ORDER BY id"
_COSIGNATURES = """
SELECT o.checkpoint_id, o.witness, o.line, c.note FROM ledger_cosignature o
LEFT JOIN ledger_checkpoint c ON c.id = o.checkpoint_id
"""
_KEYS = "SELECT position, vkey, statement FROM ledger_signer_key ORDER BY position"
_MANIFESTS = "SELECT export_id, sha256, note FROM ledger_manifest WHERE note IS NOT NULL"
_WAITING = """
SELECT count(*) FROM (SELECT DISTINCT entry_id FROM ledger_queue) q
JOIN ledger_entry e ON e.entry_id = q.entry_id
"""
_QUEUE_EMPTY = """
SELECT q.entry_id FROM ledger_queue q LEFT JOIN ledger_entry e ON e.entry_id = q.entry_id
WHERE e.entry_id IS NULL
"""
_QUEUE_PLACED = """
SELECT q.entry_id FROM ledger_queue q JOIN ledger_leaf l ON l.entry_id = q.entry_id
"""
_UNPLACED = """
SELECT e.entry_id FROM ledger_entry e
WHERE NOT EXISTS (SELECT FROM ledger_leaf l WHERE l.entry_id = e.entry_id)
AND NOT EXISTS (SELECT FROM ledger_queue q WHERE q.entry_id = e.entry_id)
"""
# What disagrees between entries, queue and leaves, and how grave it is.
_STRAYS: tuple[tuple[Kind, str, str], ...] = (
    ("gap", "queue_empty", _QUEUE_EMPTY),
    ("invalid", "queue_placed", _QUEUE_PLACED),
    ("invalid", "unplaced", _UNPLACED),
)


@dataclass(frozen=True)
class Trusted:
    """What is known from outside the database.

    `keys`: the signer's public keys; without any those in the database are used, and the report
    says so. `witnesses`: keys of outside cosigners. `since`: the note of a checkpoint that somebody
    kept. `memory`: what the signer remembers (origin, size and root).
    """

    keys: tuple[VerifierKey, ...] = ()
    witnesses: tuple[VerifierKey, ...] = ()
    since: str | None = None
    memory: Checkpoint | None = None


class PlacedEntries:
    """One pass over the tree; `connection` is in the snapshot of the verification."""

    def __init__(self, connection: Any, report: Report, trusted: Trusted) -> None:
        self._connection = connection
        self._report = report
        self._trusted = trusted
        self._keys: dict[tuple[str, bytes], VerifierKey] = {}
        self._origin = ""
        self._wanted: dict[int, bytes] = {}

    async def run(self) -> None:
        """Fill the report."""
        tree = await self._connection.fetchrow(_TREE)
        self._origin = "" if tree is None else tree["origin"]
        await self._learn_keys()
        checkpoints = await self._checkpoints()
        # Roots are taken at these sizes while the tree grows.
        self._wanted = {checkpoint.size: b"" for _, checkpoint in checkpoints}
        peaks = await self._grown()
        stored = (0, b"") if tree is None else (tree["size"], bytes(tree["peaks"]))
        if stored != (peaks.size, peaks.to_bytes()):
            self._report.add("invalid", "peaks", "tree", stored[0], peaks.size)
        self._report.placed = peaks.size
        self._compare(checkpoints, peaks.size)
        for kind, code, query in _STRAYS:
            for row in await self._connection.fetch(query):
                self._report.add(kind, code, f"entry {row['entry_id'].hex()}")
        self._report.waiting = await self._connection.fetchval(_WAITING)
        await self._cosignatures()
        await self._manifests()

    async def _learn_keys(self) -> None:
        """Trust the given keys, and those that they handed over to."""
        rows = await self._connection.fetch(_KEYS)
        for key in self._trusted.keys:
            self._trust(key)
        if not self._trusted.keys and rows:
            self._report.key_from_database = True
            try:
                self._trust(parse_vkey(rows[0]["vkey"]))
            except NoteInvalid as error:
                self._report.add("invalid", "signer_key", "key 1", error)
        for row in rows:
            where = f"key {row['position']}"
            try:
                key = parse_vkey(row["vkey"])
                if row["statement"] is not None:
                    note = parse_note(row["statement"])
                    _, named = parse_next_key(note.text)
                    is_handed_over = bool(self._signers(note))
                    if str(named) != row["vkey"]:
                        self._report.add("invalid", "signer_key", where, "another key is named")
                    elif is_handed_over:
                        self._trust(key)
            except NoteInvalid as error:
                self._report.add("invalid", "signer_key", where, error)
                continue
            if (key.name, key.key_id) not in self._keys:
                self._report.unknown_keys += 1

    def _trust(self, key: VerifierKey) -> None:
        for known in (key, cosigner(key)):
            self._keys[known.name, known.key_id] = known

    def _signers(self, note: Note) -> list[tuple[VerifierKey, int | None]]:
        """Verify every line by a trusted key; raises `NoteInvalid` when one does not hold."""
        found = [self._keys.get((line.name, line.key_id)) for line in note.lines]
        return [
            (key, verify_line(key, note.text, line))
            for key, line in zip(found, note.lines, strict=True)
            if key is not None
        ]

    async def _checkpoints(self) -> list[tuple[str, Checkpoint]]:
        """Return every checkpoint that is to hold, with its place."""
        found: list[tuple[str, Checkpoint]] = []
        for row in await self._connection.fetch(_CHECKPOINTS):
            where = f"checkpoint {row['id']}"
            try:
                note = parse_note(row["note"])
                said = parse_checkpoint(note.text)
                signers = self._signers(note)
            except NoteInvalid as error:
                self._report.add("invalid", "checkpoint", where, error)
                continue
            if not signers:
                self._report.add("untrusted", "checkpoint_key", where)
            times = {time for _, time in signers if time is not None}
            row_says = Checkpoint(row["origin"], row["size"], bytes(row["root"]))
            if row_says != said or (times and {row["signed_at"].timestamp()} != times):
                self._report.add("invalid", "checkpoint_row", where)
            found.append((where, said))
        self._report.checkpoints = len(found)
        if found and found[-1][1].origin != self._origin:
            self._report.add("invalid", "origin", "tree", self._origin, found[-1][1].origin)
        if self._trusted.since is not None:
            note = parse_note(self._trusted.since)
            if not self._signers(note):
                self._report.add("untrusted", "checkpoint_key", "since")
            found.append(("since", parse_checkpoint(note.text)))
        if self._trusted.memory is not None:
            if self._trusted.memory.origin != self._origin:
                self._report.add("invalid", "origin", "signer", self._origin, "")
            found.append(("signer", self._trusted.memory))
        return found

    async def _grown(self) -> Peaks:
        """Read the leaves in order; return the tree that they make."""
        peaks, batch, nodes = Peaks(), list[bytes](), 0
        last_seq: dict[bytes, int] = {}
        expected = 0
        self._note_root(peaks)
        async for row in self._connection.cursor(_LEAVES, prefetch=1000):
            where = f"leaf {row['idx']}"
            if row["idx"] != expected:
                self._report.add("gap", "leaf_hole", where, expected, row["idx"] - 1)
            expected = row["idx"] + 1
            if row["header"] is None:
                self._report.add("gap", "leaf_entry", where, row["entry_id"].hex())
            else:
                if not hmac.compare_digest(leaf_hash(row["header"]), row["hash"]):
                    self._report.add("invalid", "leaf_hash", where, row["entry_id"].hex())
                if row["seq"] <= last_seq.get(row["writer"], 0):
                    self._report.add("invalid", "leaf_order", where, row["writer"].hex())
                last_seq[row["writer"]] = row["seq"]
            batch.append(row["hash"])
            if len(batch) == BATCH or peaks.size + len(batch) in self._wanted:
                nodes += await self._grow(peaks, batch)
        nodes += await self._grow(peaks, batch)
        stored = await self._connection.fetchval("SELECT count(*) FROM ledger_node")
        if stored != nodes:
            self._report.add("invalid", "nodes", "tree", stored, nodes)
        return peaks

    async def _grow(self, peaks: Peaks, batch: list[bytes]) -> int:
        """Append a batch and compare the subtrees that it completes; return how many."""
        made = peaks.extend(batch, STORED_LEVEL)
        batch.clear()
        self._note_root(peaks)
        if not made:
            return 0
        rows = await self._connection.fetch(
            _NODES, [node.level for node in made], [node.idx for node in made]
        )
        if {Node(row["level"], row["idx"], bytes(row["hash"])) for row in rows} != set(made):
            self._report.add("invalid", "node", f"leaves up to {peaks.size}")
        return len(made)

    def _note_root(self, peaks: Peaks) -> None:
        if peaks.size in self._wanted:
            self._wanted[peaks.size] = peaks.root()

    def _compare(self, checkpoints: Sequence[tuple[str, Checkpoint]], size: int) -> None:
        """Hold what was signed against the tree."""
        for where, signed in checkpoints:
            is_here = signed.size <= size and hmac.compare_digest(
                self._wanted[signed.size], signed.root
            )
            if is_here:
                if where.startswith("checkpoint") and signed.origin == self._origin:
                    self._report.signed = max(self._report.signed, signed.size)
            elif signed.origin != self._origin and _base(signed.origin) == _base(self._origin):
                # A loss that was accepted and recorded; what was lost is told, not proven.
                self._report.lost = max(self._report.lost, signed.size)
                if where == "since":
                    self._report.add("gap", "since_lost", where, signed.size)
            elif signed.size > size:
                self._report.add("gap", "checkpoint_ahead", where, signed.size, size)
            else:
                self._report.add("invalid", "checkpoint_root", where, signed.size)
        if size and not self._report.signed:
            self._report.add("incomplete", "unsigned", "tree", size)

    async def _cosignatures(self) -> None:
        known = {(key.name, key.key_id): key for key in map(cosigner, self._trusted.witnesses)}
        for row in await self._connection.fetch(_COSIGNATURES):
            where = f"cosignature of checkpoint {row['checkpoint_id']}"
            try:
                line = parse_line(row["line"])
                key = known.get((line.name, line.key_id))
                if row["note"] is None or line.name != row["witness"]:
                    self._report.add("invalid", "cosignature", where, "it belongs elsewhere")
                elif key is None:
                    self._report.unknown_witnesses += 1
                else:
                    verify_line(key, parse_note(row["note"]).text, line)
                    self._report.cosigned += 1
            except NoteInvalid as error:
                self._report.add("invalid", "cosignature", where, error)

    async def _manifests(self) -> None:
        for row in await self._connection.fetch(_MANIFESTS):
            where = f"export {row['export_id']}"
            try:
                note = parse_note(row["note"])
                if note.text != manifest_text(row["export_id"], bytes(row["sha256"])):
                    self._report.add("invalid", "manifest", where, "it is about another one")
                if not self._signers(note):
                    self._report.add("untrusted", "checkpoint_key", where)
            except NoteInvalid as error:
                self._report.add("invalid", "manifest", where, error)


def _base(origin: str) -> str:
    head, _, tail = origin.rpartition("/")
    return head if tail.isdecimal() else origin
