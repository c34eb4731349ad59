"""How is one part of a package written?

Up to 100,000 entries, read once and written into five members at the same time. Invariant: the
members of a part say the same entries in the same order, and `PartResult` counts what they say.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from service.audit.package.disclosing import Discloser, RecordDamaged
from service.audit.package.members import Member, MemberFile, Sink
from service.audit.package.parquet import ParquetPart
from service.audit.package.request import PackageRequest
from service.audit.package.rows import EntryRows
from service.audit.package.verify import CSV_HEAD, FIRST_MEMBERS, PART_ENTRIES, part_members
from service.ledger.keys import Keyring

TOLD_EVERY = 500

Progress = Callable[[int], None]
"""Told now and then how many more entries are written. What it raises ends the work."""


@dataclass(slots=True)
class PartResult:
    """What was written. `writers`: the first number of each writer in the part, by hex id.

    `opened` counts blocks by kind, `withheld` by (kind, reason).
    """

    number: int
    members: list[Member] = field(default_factory=list)
    opened: Counter[str] = field(default_factory=Counter)
    withheld: Counter[tuple[str, str]] = field(default_factory=Counter)
    writers: dict[str, int] = field(default_factory=dict)


def part_count(request: PackageRequest) -> int:
    """Return how many parts a package has."""
    return -(-(request.last - request.first) // PART_ENTRIES)


def place_of(part: int, member: int) -> int:
    """Return where a member of a part lies in the order of the package."""
    return len(FIRST_MEMBERS) + part * len(part_members(part)) + member


async def write_part(
    connection: Any,
    ring: Keyring,
    request: PackageRequest,
    sink: Sink,
    number: int,
    progress: Progress = lambda _: None,
) -> PartResult:
    """Write part `number`; `connection` is an asyncpg connection of its own.

    Raises `RecordDamaged`, `SealedEarly`, `WrongKek`, `OSError` and what asyncpg raises.
    """
    rows = EntryRows(connection, request)
    wrapped = await rows.month_keys()
    discloser = Discloser(
        request=request,
        ring=ring,
        month_keys={name: ring.open_month_key(name, key) for name, key in wrapped.items()},
        subject_keys=OrderedDict(),
        started=datetime.now(UTC),
    )
    result = PartResult(number)
    files = [
        MemberFile(sink, place_of(number, member), name)
        for member, name in enumerate(part_members(number))
    ]
    try:
        await _write(rows, discloser, files, result, progress)
        result.members = [file.done() for file in files]
    finally:
        for file in files:
            file.close()
    return result


async def _write(
    rows: EntryRows,
    discloser: Discloser,
    files: list[MemberFile],
    result: PartResult,
    progress: Progress,
) -> None:
    lines, jsonl, csv, ocsf, parquet_file = files
    csv.write(CSV_HEAD)
    parquet = ParquetPart(parquet_file)
    request = discloser.request
    first = request.first + result.number * PART_ENTRIES
    last = min(request.last, first + PART_ENTRIES)
    written = told = 0
    # Few kinds of entries are different in what is shown of them.
    kinds: Counter[tuple[tuple[str, ...], tuple[tuple[str, str], ...]]] = Counter()
    async for some in rows.read(first, last):
        shown = [discloser.show(row) for row in some]
        lines.write(b"".join([one.lines for one in shown]))
        jsonl.write(b"".join([one.json_line for one in shown]))
        csv.write(b"".join([one.csv_row for one in shown]))
        ocsf.write(b"".join([one.ocsf_line for one in shown]))
        for one in shown:
            parquet.add(one)
            entry = one.entry
            kinds[tuple(entry.opened), tuple(entry.withheld.items())] += 1
            result.writers.setdefault(entry.header.writer, entry.header.seq)
        written += len(shown)
        if written - told >= TOLD_EVERY:
            progress(written - told)
            told = written
    progress(written - told)
    for (opened, withheld), count in kinds.items():
        result.opened.update(dict.fromkeys(opened, count))
        result.withheld.update(dict.fromkeys(withheld, count))
    if written != last - first:
        raise RecordDamaged(first + written, "or one before it is missing")
    parquet.close()
