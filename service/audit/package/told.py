"""What does `export.json` say: which log, which range of it, and what ties both to older trees?

Invariant: nothing in it has to be believed but who asked and why: the rest is held against the
signed checkpoint by the verifier.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.audit.package.request import PackageRequest
from service.audit.package.verify import FORMAT
from service.ledger.errors import LedgerError
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.proofs import aligned
from service.ledger.tree.stored import StoredTree

LEAVES_PAGE = 20_000
POLL_SECONDS = 0.2

_CHECKPOINT = """
SELECT c.id, c.origin, c.size, c.root, c.note
FROM ledger_checkpoint c JOIN ledger_tree t ON t.origin = c.origin
WHERE c.size >= $1 ORDER BY c.id DESC LIMIT 1
"""
_COSIGNATURES = "SELECT line FROM ledger_cosignature WHERE checkpoint_id = $1 ORDER BY witness"
# The last checkpoint of every month before that of the one that is exported.
_MONTHS = """
SELECT DISTINCT ON (month) size, root FROM (
    SELECT id, size, root, date_trunc('month', signed_at AT TIME ZONE 'UTC') AS month
    FROM ledger_checkpoint WHERE origin = $1 AND size <= $2
) c WHERE month < date_trunc('month', now() AT TIME ZONE 'UTC') ORDER BY month, id DESC
"""
_STATEMENTS = """
SELECT statement FROM ledger_signer_key WHERE statement IS NOT NULL ORDER BY position
"""
_LEAVES = "SELECT hash FROM ledger_leaf WHERE idx >= $1 AND idx < $2 ORDER BY idx"
_BEFORE = """
SELECT w.writer, (
    SELECT max(e.seq) FROM ledger_entry e WHERE e.writer = w.writer AND e.seq < w.seq
) AS seq FROM unnest($1::bytea[], $2::bigint[]) AS w (writer, seq)
"""


class CheckpointMissing(LedgerError):
    """No signed checkpoint covers the range: the signer does not run, or not yet."""

    code = "checkpoint_missing"


class RangeBroken(LedgerError):
    """The stored tree does not lead to the signed root: `touchstone ledger verify` says more."""

    code = "range_broken"


class Signed(NamedTuple):
    """The checkpoint that a package is proven by, with all signatures."""

    origin: str
    size: int
    root: bytes
    note: str


async def newest_checkpoint(connection: Any, size: int, seconds: float) -> Signed:
    """Return the newest checkpoint of at least this size. Raises `CheckpointMissing`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while (row := await connection.fetchrow(_CHECKPOINT, size)) is None:
        if asyncio.get_running_loop().time() >= deadline:
            raise CheckpointMissing(f"No signed checkpoint has {size} entries yet.")
        await asyncio.sleep(POLL_SECONDS)
    lines = await connection.fetch(_COSIGNATURES, row["id"])
    note = row["note"] + "".join(found["line"] for found in lines)
    return Signed(row["origin"], row["size"], row["root"], note)


async def range_hashes(
    connection: Any, request: PackageRequest, signed: Signed
) -> tuple[list[bytes], list[bytes]]:
    """Return what stands left and right of the range, having seen that it leads to the root.

    Raises `RangeBroken`, `TreeBroken` and `OutOfTree`.
    """
    tree = StoredTree(connection)
    left, right = await tree.range_hashes(request.first, request.last, signed.size)
    peaks = Peaks(request.first, left)
    for first in range(request.first, request.last, LEAVES_PAGE):
        last = min(first + LEAVES_PAGE, request.last)
        peaks.extend(row["hash"] for row in await connection.fetch(_LEAVES, first, last))
    if peaks.size == request.last:
        for (level, _), subtree in zip(aligned(request.last, signed.size), right, strict=True):
            peaks.append_subtree(level, subtree)
    if peaks.size != signed.size or peaks.root() != signed.root:
        raise RangeBroken("The entries of the range do not lead to the signed root.")
    return left, right


async def earlier_trees(
    connection: Any, request: PackageRequest, signed: Signed
) -> list[dict[str, Any]]:
    """Return consistency proofs from the older trees that readers may have kept."""
    tree = StoredTree(connection)
    roots = {row["size"]: row["root"] for row in await connection.fetch(
        _MONTHS, signed.origin, signed.size
    )}  # fmt: skip
    for size in request.earlier:
        roots[size] = await tree.root(size)
    return [
        {
            "size": size,
            "root": _base64(roots[size]),
            "path": [_base64(one) for one in await tree.consistency(size, signed.size)],
        }
        for size in sorted(roots)
    ]


async def numbers_before(connection: Any, writers: Mapping[str, int]) -> dict[str, int]:
    """Return the last number that each writer had before its first one in the range, if any."""
    rows = await connection.fetch(
        _BEFORE, [bytes.fromhex(writer) for writer in writers], list(writers.values())
    )
    return {row["writer"].hex(): row["seq"] for row in rows if row["seq"] is not None}


async def key_chain(connection: Any) -> list[str]:
    """Return the notes by which signing keys handed over to the next, oldest first."""
    return [row["statement"] for row in await connection.fetch(_STATEMENTS)]


def export_json(
    request: PackageRequest,
    signed: Signed,
    sides: tuple[Sequence[bytes], Sequence[bytes]],
    writers: Mapping[str, int],
    earlier: Sequence[Mapping[str, Any]],
    key_chain: Sequence[str],
) -> dict[str, Any]:
    """Return the content of `export.json`."""
    left, right = (list(map(_base64, side)) for side in sides)
    return {
        "format": FORMAT,
        "export_id": str(request.export_id),
        "log": request.log,
        "origin": signed.origin,
        "first": request.first,
        "last": request.last,
        "checkpoint": signed.note,
        "left": left,
        "right": right,
        "writers": dict(writers),
        "earlier": list(earlier),
        "key_chain": list(key_chain),
        "purpose": request.purpose,
        "requested_by": request.requested_by,
        "approved_by": request.approved_by,
        "role": request.role,
        "blocks": sorted(request.blocks),
        "filter": None if request.types is None else sorted(request.types),
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
