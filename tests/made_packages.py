"""Packages of logs that were never in a database: small, fast to make, and easy to forge.

The log is sealed, numbered and hashed by the product's own code; signed by a key of its own. An
attacker of the tests has everything but that key, or gets its signature on any manifest, as
whoever holds database and exporter does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.audit.package import verify
from service.ledger.entry import EntryDraft
from service.ledger.keys import FileKek, Keyring
from service.ledger.note import (
    Checkpoint,
    checkpoint_text,
    manifest_text,
    next_key_text,
    sign_line,
    vkey_of,
)
from service.ledger.row import SealedEntry, StoredRow, numbered, sealed
from service.ledger.seal import block_secret
from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.proofs import consistency_path, range_path

NOON = 1_790_000_000
SIGNED = NOON + 86_400
OUTCOMES = ("approve", "challenge", "review", "decline")
Members = dict[str, bytes]


@dataclass
class MadeLog:
    """A log in memory. `secrets`: what opens each block, by row and block."""

    name: str = "shop"
    origin: str = "shop"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    rows: list[StoredRow] = field(default_factory=list)
    secrets: list[dict[str, bytes]] = field(default_factory=list)

    @property
    def vkey(self) -> str:
        """The signer's public key."""
        return vkey_of(self.origin, self.key.public_key().public_bytes_raw())

    def signed(self, text: str, *, timed: bool = False) -> str:
        """Return a note of the text, by the log's key."""
        lines = sign_line(self.key, self.origin, text)
        if timed:
            lines += sign_line(self.key, self.origin, text, SIGNED)
        return f"{text}\n{lines}"

    def leaves(self) -> list[bytes]:
        """Return the leaves of the tree."""
        return [leaf_hash(row.header) for row in self.rows]

    def checkpoint(self, size: int | None = None) -> str:
        """Return the signed checkpoint of a size."""
        size = len(self.rows) if size is None else size
        root = tree_of(self.leaves()[:size]).root()
        return self.signed(checkpoint_text(Checkpoint(self.origin, size, root)), timed=True)


def tree_of(leaves: Sequence[bytes]) -> Peaks:
    """Return the tree over leaves."""
    peaks = Peaks()
    peaks.extend(leaves)
    return peaks


def made_log(chance: random.Random, entries: int, **more: Any) -> MadeLog:
    """Return a log of decisions, events and actions of people by up to three writers."""
    log = MadeLog(**more)
    ring = Keyring(FileKek(chance.randbytes(32)))
    writers = [chance.randbytes(16) for _ in range(chance.randint(1, 3))]
    seqs = Counter[bytes]()
    for number in range(entries):
        entry = sealed(_draft(chance, number), log.name, ring)
        writer = chance.choice(writers)
        seqs[writer] += 1
        log.rows.append(numbered(entry, writer, seqs[writer]))
        log.secrets.append(_secrets(entry))
    return log


def _draft(chance: random.Random, number: int) -> EntryDraft:
    kind = chance.choice(("decision", "decision", "event", "rules.push"))
    core: dict[str, Any] = {"action": kind, "count": chance.randint(0, 9)}
    if kind == "decision":
        core = {
            "answer": {
                "outcome": chance.choice(OUTCOMES),
                "score": chance.random(),
                "reasons": [{"code": "many_devices", "text": {"zh": "设备"}}],
                "rule_hits": [{"rule_id": f"rule-{chance.randint(0, 3)}"}],
                "degraded": chance.choice(([], ["velocity"], ["=1+1", '"x"'])),
            }
        }
    is_person = kind != "rules.push"
    return EntryDraft(
        entry_id=chance.randbytes(16),
        type=kind,
        event_key=chance.randbytes(16) if is_person else None,
        body_hash=chance.randbytes(32) if is_person else None,
        observed_at=datetime.fromtimestamp(NOON + number, UTC),
        versions={"rules": chance.randbytes(32).hex()[:64], "bundle": "b" * 64},
        core=json.dumps(core, ensure_ascii=False).encode(),
        subject=b'{"facts":{"user_logins_1h":1}}' if is_person else None,
        subject_tag=f"user:{chance.randint(0, 5)}" if is_person else None,
        staff=None if is_person else b'{"actor":"ana"}',
    )


def _secrets(entry: SealedEntry) -> dict[str, bytes]:
    keys = {key.name.split("/")[0]: key.key for key in entry.month_keys}
    if entry.subject_key is not None:
        keys["subject"] = entry.subject_key.key
    return {block: block_secret(key, entry.entry_id, block) for block, key in keys.items()}


def export_of(log: MadeLog, first: int, last: int, **more: Any) -> dict[str, Any]:
    """Return `export.json` of a range; `earlier`: sizes of older trees; `more` replaces fields."""
    peaks = Peaks()
    nodes: dict[tuple[int, int], bytes] = {}
    for idx, leaf in enumerate(log.leaves()):
        nodes[0, idx] = leaf
        for node in peaks.extend([leaf], 1):
            nodes[node.level, node.idx] = node.hash
    size = len(log.rows)
    left, right = range_path(lambda *place: nodes[place], first, last, size)
    writers = {row.writer.hex(): row.seq for row in log.rows[:first]}
    return {
        "format": verify.FORMAT,
        "export_id": str(uuid.uuid4()),
        "log": log.name,
        "origin": log.origin,
        "first": first,
        "last": last,
        "checkpoint": log.checkpoint(),
        "left": list(map(text_of, left)),
        "right": list(map(text_of, right)),
        "writers": writers,
        "earlier": [
            {
                "size": older,
                "root": text_of(tree_of(log.leaves()[:older]).root()),
                "path": [
                    text_of(node)
                    for node in consistency_path(lambda *place: nodes[place], older, size)
                ],
            }
            for older in more.pop("earlier", ())
        ],
        "key_chain": [],
        "purpose": "quarterly audit",
        "requested_by": "ana",
        "approved_by": "bo",
        "role": "compliance",
        "blocks": ["core"],
        "filter": None,
        "created_at": "2026-11-22T08:00:00Z",
        **more,
    }


def members_of(
    log: MadeLog,
    export: Mapping[str, Any],
    withheld: Callable[[int, str], str | None] | None = None,
) -> Members:
    """Return every member but the manifest and its note. `withheld`: other reasons, by row."""
    first, last = export["first"], export["last"]
    members = {name: f"{name}\n".encode() for name in verify.FIRST_MEMBERS}
    members["export.json"] = verify.canonical(export)
    for number, start in enumerate(range(first, last, verify.PART_ENTRIES)):
        lines, views = [], (list[bytes](), [verify.CSV_HEAD], list[bytes]())
        for idx in range(start, min(start + verify.PART_ENTRIES, last)):
            entry, values, block_lines = _shown(log, export, idx, withheld)
            lines += [entry.exact + b"\n", *block_lines]
            for view, line in zip(views, verify.views(entry, values), strict=True):
                view.append(line)
        names = verify.part_members(number)
        contents = [b"".join(part) for part in (lines, *views)]
        members |= dict(zip(names, [*contents, b"PAR1"], strict=True))
    return members


def _shown(
    log: MadeLog,
    export: Mapping[str, Any],
    idx: int,
    withheld: Callable[[int, str], str | None] | None,
) -> tuple[verify.Entry, dict[str, dict[str, Any]], list[bytes]]:
    row, lines = log.rows[idx], list[bytes]()
    entry = verify.Entry(idx, row.header, verify.parse_header(row.header), {}, {})
    values: dict[str, dict[str, Any]] = {}
    for block in entry.header.blocks:
        reason = withheld(idx, block) if withheld else None
        if export["filter"] is not None and entry.header.type not in export["filter"]:
            reason = reason or "filter"
        elif block not in export["blocks"]:
            reason = reason or "not_requested"
        if reason is not None:
            entry.withheld[block] = reason
            lines.append(verify.withheld_line(block, reason))
            continue
        secret, block_bytes = log.secrets[idx][block], getattr(row, block)
        found = verify.open_block(entry.header, block, secret, block_bytes)
        entry.opened[block], values[block] = found.content, found.value
        lines.append(verify.opened_line(block, secret, block_bytes))
    return entry, values, lines


def manifest_of(members: Members, export: Mapping[str, Any]) -> bytes:
    """Return the manifest of members as they are."""
    opened, withheld = Counter[str](), dict[str, Counter[str]]()
    for name, content in members.items():
        if name.startswith("entries-"):
            for line in content.splitlines():
                words = line.decode().split(" ")
                if words[0] in verify.BLOCKS and words[1] == "opened":
                    opened[words[0]] += 1
                elif words[0] in verify.BLOCKS:
                    withheld.setdefault(words[0], Counter())[words[2]] += 1
    return verify.canonical(
        {
            "format": verify.FORMAT,
            "export_id": export["export_id"],
            "members": [
                {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for name, data in members.items()
            ],
            "counts": {
                "entries": export["last"] - export["first"],
                "opened": opened,
                "withheld": withheld,
            },
        }
    )


def with_manifest(log: MadeLog, members: Members, export: Mapping[str, Any]) -> Members:
    """Return the members with manifest and note, as the signer signs any manifest it is given."""
    manifest = manifest_of(members, export)
    digest = hashlib.sha256(manifest).digest()
    note = log.signed(manifest_text(uuid.UUID(export["export_id"]), digest))
    return {**members, "manifest.json": manifest, "manifest.note": note.encode()}


def packed(members: Members) -> bytes:
    """Return the tar."""
    parts = []
    for name, data in members.items():
        parts += [verify.member_header(name, len(data)), data, verify.padding(len(data))]
    return b"".join([*parts, verify.TAR_END])


def made_package(log: MadeLog, first: int, last: int, **more: Any) -> bytes:
    """Return the package of a range of a log."""
    export = export_of(log, first, last, **more)
    return packed(with_manifest(log, members_of(log, export), export))


def checked(
    package: bytes, vkey: str, since: str | None = None, witnesses: Sequence[str] = ()
) -> tuple[int, str]:
    """Return what the verifier says: exit code and report."""
    keys = verify.read_keys([vkey])
    code, lines = verify.check(BytesIO(package), keys, since, verify.read_keys(witnesses), zh=False)
    return code, "\n".join(lines)


def handed_over(before: MadeLog, after: Ed25519PrivateKey, origin: str) -> str:
    """Return the note by which a log's key names the next one."""
    vkey = vkey_of(origin, after.public_key().public_bytes_raw())
    return before.signed(next_key_text(before.origin, vkey))


def text_of(data: bytes) -> str:
    """Return base64."""
    return base64.b64encode(data).decode()
