"""How does a package come to be? From the rows of the database to the members of one tar.

Constant memory, whatever the range. Invariants: what is packed was held against the signed
checkpoint first; the manifest, signed last, names every byte before it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.resources import files
from typing import Any, NamedTuple
from uuid import UUID

from service.audit.package.members import Layout, Member, Sink, write_member
from service.audit.package.part import (
    PartResult,
    Progress,
    part_count,
    place_of,
    write_part,
)
from service.audit.package.request import PackageRequest
from service.audit.package.told import (
    POLL_SECONDS,
    earlier_trees,
    export_json,
    key_chain,
    newest_checkpoint,
    numbers_before,
    range_hashes,
)
from service.audit.package.verify import FIRST_MEMBERS, FORMAT, LAST_MEMBERS, canonical
from service.ledger.errors import LedgerError
from service.ledger.keys import Keyring
from service.ledger.note import manifest_text

CHECKPOINT_SECONDS = 20.0
# A signer that runs signs within a second.
MANIFEST_SECONDS = 60.0
_EXPORT_PLACE = FIRST_MEMBERS.index("export.json")
_ASK = """
INSERT INTO ledger_manifest (export_id, sha256) VALUES ($1, $2)
ON CONFLICT (export_id) DO UPDATE SET sha256 = $2, note = NULL, signed_at = NULL, asked_at = now()
"""
_NOTE = "SELECT note FROM ledger_manifest WHERE export_id = $1"

Parts = Callable[[PackageRequest, Sink, Progress], AsyncIterator[PartResult]]
"""Writes every part of a package and yields what it wrote, in any order."""


class ManifestUnsigned(LedgerError):
    """The signer has not signed the manifest in time: is it running?"""

    code = "manifest_unsigned"


class Package(NamedTuple):
    """A package that was written: its members in order, and what they say in numbers."""

    members: list[Member]
    size: int
    manifest: bytes
    entries: int
    opened: Mapping[str, int]
    withheld: Mapping[str, Mapping[str, int]]
    checkpoint_size: int


async def build_package(
    connection: Any,
    ring: Keyring,
    request: PackageRequest,
    sink: Sink,
    *,
    parts: Parts | None = None,
    progress: Progress = lambda _: None,
) -> Package:
    """Write the members of a package into `sink` and return what was written.

    `connection` is an asyncpg connection of its own, outside a transaction. `parts` writes them in
    processes of its own, else they are written here one after the other. A signer must run. Raises
    `CheckpointMissing`, `RangeBroken`, `RecordDamaged`, `SealedEarly`, `ManifestUnsigned` and
    others of `LedgerError`, `OSError` and what asyncpg raises.
    """
    signed = await newest_checkpoint(connection, request.last, CHECKPOINT_SECONDS)
    sides = await range_hashes(connection, request, signed)
    earlier = await earlier_trees(connection, request, signed)
    members = [
        write_member(sink, place, name, files(__package__).joinpath(name).read_bytes())
        for place, name in enumerate(FIRST_MEMBERS)
        if place != _EXPORT_PLACE
    ]
    written = [
        result
        async for result in (
            _one_by_one(connection, ring, request, sink, progress)
            if parts is None
            else parts(request, sink, progress)
        )
    ]
    written.sort(key=lambda result: result.number)
    writers: dict[str, int] = {}
    for result in written:
        members += result.members
        writers = {**result.writers, **writers}
    told = export_json(
        request,
        signed,
        sides,
        await numbers_before(connection, writers),
        earlier,
        await key_chain(connection),
    )
    members.append(write_member(sink, _EXPORT_PLACE, FIRST_MEMBERS[_EXPORT_PLACE], canonical(told)))
    members.sort(key=lambda member: member.place)
    counts = _counts(request, written)
    manifest = canonical(
        {
            "format": FORMAT,
            "export_id": str(request.export_id),
            "members": [
                {"name": one.name, "size": one.size, "sha256": one.sha256} for one in members
            ],
            "counts": counts,
        }
    )
    digest = hashlib.sha256(manifest).digest()
    note = await _signed(connection, request.export_id, digest)
    for offset, content in enumerate((manifest, note.encode())):
        place = place_of(part_count(request), offset)
        members.append(write_member(sink, place, LAST_MEMBERS[offset], content))
    return Package(
        members=members,
        size=Layout(members).size,
        manifest=digest,
        checkpoint_size=signed.size,
        **counts,
    )


async def _one_by_one(
    connection: Any, ring: Keyring, request: PackageRequest, sink: Sink, progress: Progress
) -> AsyncIterator[PartResult]:
    for number in range(part_count(request)):
        yield await write_part(connection, ring, request, sink, number, progress)


def _counts(request: PackageRequest, written: list[PartResult]) -> dict[str, Any]:
    opened: Counter[str] = Counter()
    withheld: dict[str, Counter[str]] = {}
    for result in written:
        opened.update(result.opened)
        for (block, reason), count in result.withheld.items():
            withheld.setdefault(block, Counter())[reason] += count
    return {
        "entries": request.last - request.first,
        "opened": dict(opened),
        "withheld": {block: dict(reasons) for block, reasons in withheld.items()},
    }


async def _signed(connection: Any, export_id: UUID, digest: bytes) -> str:
    """Hand the manifest to the signer, and wait for what it signs."""
    text = manifest_text(export_id, digest)
    await connection.execute(_ASK, export_id, digest)
    deadline = asyncio.get_running_loop().time() + MANIFEST_SECONDS
    while not (note := await connection.fetchval(_NOTE, export_id) or "").startswith(text):
        if note:  # it was on its way when an earlier attempt was given up
            await connection.execute(_ASK, export_id, digest)
        if asyncio.get_running_loop().time() >= deadline:
            raise ManifestUnsigned("The signer has not signed the manifest: is it running?")
        await asyncio.sleep(POLL_SECONDS)
    return str(note)
