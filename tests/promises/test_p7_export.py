"""P7: a filtered export proves that nothing was left out, and says what was withheld and why."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from service.audit.package import verify
from service.embedded import EmbeddedServers
from service.ledger.note import manifest_text
from service.ledger.tree.stored import StoredTree
from tests.audit_exports import Record, recorded

ENTRIES = 40
FIRST, LAST = 5, 33
PART = "entries-00000.txt"
INVALID, GAP = 2, 3


async def test_p7_a_filtered_export_proves_that_nothing_was_left_out(
    servers: EmbeddedServers,
    fresh_postgres_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every entry of the range is there, whatever is filtered; leaving one out is seen, even when
    its views, counts and the signed manifest are made to fit."""
    async with recorded(servers, fresh_postgres_url, tmp_path, entries=ENTRIES) as record:
        key = str(await record.database.fetchval("SELECT vkey FROM ledger_signer_key"))
        export = await record.ready(
            first=FIRST, last=LAST, types=["decision"], blocks=["core", "staff"], earlier=[3]
        )
        answer = await record.clients["cora"].get(f"/v1/audit/exports/{export['id']}/package")
        members = members_of(answer.content)
        assert proof(tmp_path, answer.content, key) == 0
        said = capsys.readouterr().out

        rows = await record.database.fetch(
            "SELECT e.type, e.subject IS NOT NULL AS subject, e.staff IS NOT NULL AS staff "
            "FROM ledger_leaf l JOIN ledger_entry e USING (entry_id) "
            "WHERE l.idx >= $1 AND l.idx < $2",
            FIRST,
            LAST,
        )
        decisions = sum(row["type"] == "decision" for row in rows)
        counts = json.loads(members["manifest.json"])["counts"]
        others = len(rows) - decisions
        assert counts["entries"] == len(rows) == LAST - FIRST
        assert counts["opened"] == {"core": decisions}
        assert counts["withheld"]["subject"] == {"not_requested": decisions}
        assert counts["withheld"].get("core", {}) == ({"filter": others} if others else {})
        assert f"subject (not_requested): {decisions}" in said

        size = await record.database.fetchval(
            "SELECT size FROM ledger_checkpoint WHERE note = $1",
            json.loads(members["export.json"])["checkpoint"],
        )
        _, right = await StoredTree(record.database).range_hashes(FIRST, LAST - 1, size)
        for number in (0, 11, LAST - FIRST - 2):
            package = await signed(record, export, without(members, number, right))
            assert proof(tmp_path, package, key) in (INVALID, GAP), number
        entries = swapped(entries_of(members[PART]))
        forged = {**members, PART: b"".join(entries), **derived(entries, FIRST)}
        package = await signed(record, export, forged)
        assert proof(tmp_path, package, key) in (INVALID, GAP)


def members_of(package: bytes) -> dict[str, bytes]:
    """Return the members of a package by name."""
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def proof(base: Path, package: bytes, key: str) -> int:
    """Return the exit code of the verifier."""
    file = base / "package.tar"
    file.write_bytes(package)
    return verify.main([str(file), "--key", key])


def without(members: dict[str, bytes], number: int, right: list[bytes]) -> dict[str, bytes]:
    """Leave one entry out everywhere, count as if it had never been there, and fit the proof."""
    found = dict(members)
    entries = entries_of(members[PART])
    dropped = entries.pop(number)
    found[PART] = b"".join(entries)
    found |= derived(entries, FIRST)
    export = json.loads(members["export.json"])
    export["last"] -= 1
    export["right"] = [base64.b64encode(one).decode() for one in right]
    found["export.json"] = verify.canonical(export)
    counts = json.loads(members["manifest.json"])["counts"]
    counts["entries"] -= 1
    for line in dropped.decode().splitlines()[1:]:
        block, what, more = line.split(" ", 2)
        at = counts["opened"] if what == "opened" else counts["withheld"][block]
        name = block if what == "opened" else more
        at[name] -= 1
        if not at[name]:
            del at[name]
    found["counts"] = verify.canonical(counts)
    return found


def entries_of(part: bytes) -> list[bytes]:
    """Return the lines of each entry: its header and its blocks."""
    entries: list[bytes] = []
    for line in part.splitlines(keepends=True):
        if line.startswith(b"{"):
            entries.append(line)
        else:
            entries[-1] += line
    return entries


def swapped(entries: list[bytes]) -> list[bytes]:
    """Put two neighbours in each other's place."""
    return [*entries[:4], entries[5], entries[4], *entries[6:]]


def derived(entries: list[bytes], first: int) -> dict[str, bytes]:
    """Return the views that fit these entries."""
    jsonl, csv, ocsf = b"", verify.CSV_HEAD, b""
    for idx, lines in enumerate(entries, first):
        exact, *blocks = lines.splitlines()
        header = verify.parse_header(exact)
        opened, values, withheld = {}, {}, {}
        for line in blocks:
            block, what, *more = line.decode().split(" ")
            if what == "opened":
                shown = verify.open_block(header, block, *map(base64.b64decode, more))
                opened[block], values[block] = shown.content, shown.value
            else:
                withheld[block] = more[0]
        three = verify.views(verify.Entry(idx, exact, header, opened, withheld), values)
        jsonl, csv, ocsf = jsonl + three[0], csv + three[1], ocsf + three[2]
    names = verify.part_members(0)
    return {names[1]: jsonl, names[2]: csv, names[3]: ocsf}


async def signed(record: Record, export: dict[str, Any], members: dict[str, bytes]) -> bytes:
    """Pack members with a manifest that fits them, which the log's own signer has signed."""
    members = dict(members)
    told = json.loads(members["manifest.json"])
    counts = members.pop("counts", None)
    if counts is not None:
        told["counts"] = json.loads(counts)
    told["members"] = [
        {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
        if not name.startswith("manifest.")
    ]
    members["manifest.json"] = verify.canonical(told)
    digest = hashlib.sha256(members["manifest.json"]).digest()
    note = await note_on(record.database, UUID(export["id"]), digest)
    members["manifest.note"] = note.encode()
    package = b"".join(
        verify.member_header(name, len(content)) + content + verify.padding(len(content))
        for name, content in members.items()
    )
    return package + verify.TAR_END


async def note_on(database: asyncpg.Connection, export_id: UUID, digest: bytes) -> str:
    """Let the signer sign a manifest."""
    await database.execute(
        "UPDATE ledger_manifest SET sha256 = $2, note = NULL, signed_at = NULL "
        "WHERE export_id = $1",
        export_id,
        digest,
    )
    text = manifest_text(export_id, digest)
    note = ""
    while not note.startswith(text):
        note = (
            await database.fetchval(
                "SELECT note FROM ledger_manifest WHERE export_id = $1", export_id
            )
            or ""
        )
    return note
