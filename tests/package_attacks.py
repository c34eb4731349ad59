"""What may an attacker do to a package? Each attack, and the exit code that answers it.

Two kinds: the package is changed after the signer signed its manifest, or the exporter itself lies
and has its lie signed, which the signer cannot know. Invariant: no attacker here has the log's key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from typing import NamedTuple

from service.audit.package import verify
from service.ledger.note import manifest_text
from service.ledger.row import StoredRow
from tests.made_packages import (
    MadeLog,
    Members,
    export_of,
    made_log,
    members_of,
    packed,
    text_of,
    tree_of,
    with_manifest,
)

FIRST, LAST, ENTRIES = 3, 23, 30
LINES, JSONL, CSV, OCSF, PARQUET = verify.part_members(0)


class Case(NamedTuple):
    """A log, and the genuine package of its entries [FIRST, LAST)."""

    log: MadeLog
    export: dict[str, object]
    members: Members

    def resigned(self, members: Members, **export: object) -> bytes:
        """Return the package of an exporter who lies: `export` replaces fields of export.json."""
        said = {**self.export, **export}
        if export:
            members = {**members, "export.json": verify.canonical(said)}
        bare = {name: data for name, data in members.items() if not name.startswith("manifest.")}
        return packed(with_manifest(self.log, bare, said))

    def after(self, **changed: bytes) -> bytes:
        """Return the package with members replaced after it was signed."""
        return packed({**self.members, **{_NAMES[name]: data for name, data in changed.items()}})

    def entries(self) -> list[list[bytes]]:
        """Return the lines of each entry."""
        found: list[list[bytes]] = []
        for line in self.members[LINES].splitlines(keepends=True):
            if line.startswith(b"{"):
                found.append([])
            found[-1].append(line)
        return found


_NAMES = {
    "readme": "README.en.md",
    "export": "export.json",
    "lines": LINES,
    "jsonl": JSONL,
    "csv": CSV,
    "ocsf": OCSF,
    "parquet": PARQUET,
    "note": "manifest.note",
}


def case(seed: int = 7) -> Case:
    """Return a log of which a range is exported, core blocks disclosed."""
    log = made_log(random.Random(seed), ENTRIES)
    export = export_of(log, FIRST, LAST, earlier=(1, 8))
    return Case(log, export, with_manifest(log, members_of(log, export), export))


def _joined(entries: list[list[bytes]]) -> bytes:
    return b"".join(line for entry in entries for line in entry)


def _rebuilt(one: Case, rows: list[StoredRow], secrets: list[dict[str, bytes]]) -> bytes:
    """Return the package that the exporter builds from other rows, under the true checkpoint."""
    other = MadeLog(one.log.name, one.log.origin, one.log.key, rows, secrets)
    return one.resigned(members_of(other, one.export))


def _moved(one: Case, change: Callable[[list[StoredRow], list[dict[str, bytes]]], None]) -> bytes:
    rows, secrets = list(one.log.rows), list(one.log.secrets)
    change(rows, secrets)
    return _rebuilt(one, rows, secrets)


def _swap(rows: list[StoredRow], secrets: list[dict[str, bytes]]) -> None:
    rows[5], rows[6] = rows[6], rows[5]
    secrets[5], secrets[6] = secrets[6], secrets[5]


def _drop(rows: list[StoredRow], secrets: list[dict[str, bytes]]) -> None:
    del rows[10], secrets[10]


def _double(rows: list[StoredRow], secrets: list[dict[str, bytes]]) -> None:
    rows[11], secrets[11] = rows[10], secrets[10]


def _splice(rows: list[StoredRow], secrets: list[dict[str, bytes]]) -> None:
    other = made_log(random.Random(99), ENTRIES, name="other")
    rows[12], secrets[12] = other.rows[12], other.secrets[12]


def _splice_same_name(rows: list[StoredRow], secrets: list[dict[str, bytes]]) -> None:
    other = made_log(random.Random(98), ENTRIES)
    rows[3:], secrets[3:] = other.rows[3:], other.secrets[3:]


def _retype(rows: list[StoredRow], _: list[dict[str, bytes]]) -> None:
    header = rows[9].header
    before = b'"v":1,'
    rows[9] = rows[9]._replace(header=header.replace(b'"seq":', b'"seq":1', 1))
    assert before in header


def _line(one: Case, start: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return the entries with the first line that begins so changed."""
    lines = one.members[LINES].splitlines(keepends=True)
    at = next(at for at, line in enumerate(lines) if line.startswith(start))
    lines[at] = change(lines[at])
    return b"".join(lines)


def _with(one: Case, name: str, data: bytes) -> Members:
    return {**one.members, name: data}


def _other_secret(line: bytes) -> bytes:
    block, _, secret, sealed = line.split(b" ")
    changed = bytes([base64.b64decode(secret)[0] ^ 1]) + base64.b64decode(secret)[1:]
    return b" ".join([block, b"opened", base64.b64encode(changed), sealed])


def _blocks_swapped(one: Case) -> bytes:
    entries = one.entries()
    at = [k for k, entry in enumerate(entries) if entry[1].startswith(b"core opened")][:2]
    entries[at[0]][1], entries[at[1]][1] = entries[at[1]][1], entries[at[0]][1]
    return _joined(entries)


def _reordered(one: Case) -> Members:
    names = list(one.members)
    names[5], names[6] = names[6], names[5]
    return {name: one.members[name] for name in names}


def _renumbered(one: Case, by: int) -> dict[str, int]:
    writers: dict[str, int] = dict(one.export["writers"])  # type: ignore[call-overload]
    writer = one.log.rows[FIRST].writer.hex()
    return {**writers, writer: max(writers.get(writer, 0) + by, 0)}


def _side(one: Case, side: str) -> list[str]:
    hashes: list[str] = list(one.export[side])  # type: ignore[call-overload]
    return [text_of(bytes(32)), *hashes[1:]]


def _older_lied(one: Case) -> list[dict[str, object]]:
    older = json.loads(json.dumps(one.export["earlier"]))
    older[1]["root"] = text_of(tree_of(one.log.leaves()[1:9]).root())
    return list(older)


def _resigned_by_stranger(one: Case) -> bytes:
    stranger = MadeLog(one.log.name, one.log.origin, rows=one.log.rows, secrets=one.log.secrets)
    return Case(stranger, one.export, one.members).resigned(one.members)


def _forked_by_stranger(one: Case) -> bytes:
    fork = made_log(random.Random(55), ENTRIES)
    export = export_of(fork, FIRST, LAST)
    return packed(with_manifest(fork, members_of(fork, export), export))


def _tar(one: Case, change: Callable[[bytearray], None]) -> bytes:
    data = bytearray(packed(one.members))
    change(data)
    return bytes(data)


def _mtime(data: bytearray) -> None:
    data[146] = ord("1")


def _pad(data: bytearray) -> None:
    data[1023] = 1


def _counts(one: Case) -> bytes:
    manifest = json.loads(one.members["manifest.json"])
    manifest["counts"]["withheld"]["subject"] = {"role": 1}
    data = verify.canonical(manifest)
    export_id = uuid.UUID(str(one.export["export_id"]))
    note = one.log.signed(manifest_text(export_id, hashlib.sha256(data).digest()))
    return packed({**one.members, "manifest.json": data, "manifest.note": note.encode()})


def _formula(one: Case) -> bytes:
    assert b"'=1+1" in one.members[CSV]
    return one.members[CSV].replace(b"'=1+1", b"=1+1")


AFTER: dict[str, tuple[Callable[[Case], bytes], int]] = {
    "entry dropped": (lambda c: c.after(lines=_joined(c.entries()[:-1])), 2),
    "entry doubled": (lambda c: c.after(lines=_joined(c.entries()[:5] + c.entries()[4:])), 2),
    "entries swapped": (lambda c: c.after(lines=_joined(c.entries()[::-1])), 2),
    "withheld line removed": (lambda c: c.after(lines=_line(c, b"subject", lambda _: b"")), 2),
    "reason changed": (
        lambda c: c.after(lines=_line(c, b"subject", lambda _: b"subject withheld role\n")),
        2,
    ),
    "only the CSV changed": (
        lambda c: c.after(csv=c.members[CSV].replace(b"review", b"approve")),
        2,
    ),
    "only the JSON lines changed": (lambda c: c.after(jsonl=c.members[JSONL][:-2] + b" \n"), 2),
    "only OCSF changed": (
        lambda c: c.after(ocsf=c.members[OCSF].replace(b'"severity_id":4', b'"severity_id":1')),
        2,
    ),
    "only Parquet changed": (lambda c: c.after(parquet=b"PAR2"), 2),
    "readme changed": (lambda c: c.after(readme=b"all is well\n"), 2),
    "purpose changed": (
        lambda c: c.after(export=verify.canonical({**c.export, "purpose": "none"})),
        2,
    ),
    "trailing garbage": (lambda c: packed(c.members) + b"x", 2),
    "trailing zeros": (lambda c: packed(c.members) + bytes(512), 2),
    "a second package behind it": (lambda c: packed(c.members) * 2, 2),
    "members in another order": (lambda c: packed(_reordered(c)), 2),
    "a member left out": (
        lambda c: packed({n: d for n, d in c.members.items() if n != OCSF}),
        2,
    ),
    "a member added": (lambda c: packed({**c.members, "more.txt": b"x"}), 2),
    "truncated": (lambda c: packed(c.members)[:-1], 4),
    "nothing": (lambda _: b"", 4),
    "a date in the framing": (lambda c: _tar(c, _mtime), 2),
    "bytes in the padding": (lambda c: _tar(c, _pad), 2),
    "manifest of another export": (
        lambda c: packed({**c.members, "manifest.note": case(8).members["manifest.note"]}),
        5,
    ),
    "note of another export of this log": (
        lambda c: packed(
            {
                **c.members,
                "manifest.note": with_manifest(
                    c.log, {}, {**c.export, "export_id": "018f0000-0000-7000-8000-000000000000"}
                )["manifest.note"],
            }
        ),
        2,
    ),
    "re-signed by another key": (_resigned_by_stranger, 5),
    "a forked tree by another key": (_forked_by_stranger, 5),
}

BY_THE_EXPORTER: dict[str, tuple[Callable[[Case], bytes], int]] = {
    "entry dropped": (lambda c: _moved(c, _drop), 2),
    "entry doubled": (lambda c: _moved(c, _double), 2),
    "entries swapped": (lambda c: _moved(c, _swap), 2),
    "entry of another log": (lambda c: _moved(c, _splice), 2),
    "tail of another log of the same name": (lambda c: _moved(c, _splice_same_name), 2),
    "entry renumbered": (lambda c: _moved(c, _retype), 2),
    "range shortened at its end": (
        lambda c: c.resigned(members_of(c.log, {**c.export, "last": LAST - 1}), last=LAST - 1),
        2,
    ),
    "range begins later": (
        lambda c: c.resigned(members_of(c.log, {**c.export, "first": FIRST + 1}), first=FIRST + 1),
        2,
    ),
    "range beyond the tree": (lambda c: c.resigned(c.members, last=ENTRIES + 1), 2),
    "range of another type": (lambda c: c.resigned(c.members, first=float(FIRST)), 2),
    "a left hash changed": (lambda c: c.resigned(c.members, left=_side(c, "left")), 2),
    "a right hash changed": (lambda c: c.resigned(c.members, right=_side(c, "right")), 2),
    "left and right exchanged": (
        lambda c: c.resigned(c.members, left=c.export["right"], right=c.export["left"]),
        2,
    ),
    "an older tree that was another": (lambda c: c.resigned(c.members, earlier=_older_lied(c)), 2),
    "writers begin earlier": (lambda c: c.resigned(c.members, writers={}), 3),
    "writers begin later": (lambda c: c.resigned(c.members, writers=_renumbered(c, 1)), 2),
    "checkpoint of another log": (
        lambda c: c.resigned(c.members, checkpoint=case(8).log.checkpoint()),
        5,
    ),
    "another origin": (lambda c: c.resigned(c.members, origin="shop/2"), 2),
    "another log's name": (lambda c: c.resigned(c.members, log="other"), 2),
    "another secret": (
        lambda c: c.resigned(_with(c, LINES, _line(c, b"core opened", _other_secret))),
        2,
    ),
    "blocks exchanged": (lambda c: c.resigned(_with(c, LINES, _blocks_swapped(c))), 2),
    "a block withheld that was asked for": (
        lambda c: c.resigned(
            _with(c, LINES, _line(c, b"core", lambda _: b"core withheld not_requested\n"))
        ),
        2,
    ),
    "core said to be erased": (
        lambda c: c.resigned(members_of(c.log, c.export, _reason("core", "erased"))),
        2,
    ),
    "a reason that nobody knows": (
        lambda c: c.resigned(members_of(c.log, c.export, _reason("subject", "whim"))),
        2,
    ),
    "a key said to be missing": (
        lambda c: c.resigned(members_of(c.log, c.export, _reason("core", "key_missing"))),
        4,
    ),
    "a header written otherwise": (
        lambda c: c.resigned(
            _with(c, LINES, c.members[LINES].replace(b'{"blocks"', b'{ "blocks"', 1))
        ),
        2,
    ),
    "CSV with a formula": (lambda c: c.resigned(_with(c, CSV, _formula(c))), 2),
    "JSON lines that say something else": (
        lambda c: c.resigned(_with(c, JSONL, c.members[JSONL].replace(b"approve", b"decline"))),
        2,
    ),
    "a view without its last line": (
        lambda c: c.resigned(_with(c, OCSF, c.members[OCSF].rpartition(b"{")[0])),
        2,
    ),
    "counts that lie": (_counts, 2),
    "a filter that was not applied": (lambda c: c.resigned({**c.members}, filter=[]), 2),
}


def _reason(block: str, reason: str) -> Callable[[int, str], str | None]:
    return lambda _, named: reason if named == block else None
