"""What do entries say, for those who may look?

Opens the blocks that are asked for, of some entries at once. Invariants: a subject block of a
restricted person is given to nobody; what is given is what was sealed; a block that is not given
has a word that says why.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from service.ledger.entry import Header, claims_of, parse_header, unframed
from service.ledger.errors import BadHeader, SealBroken
from service.ledger.keys import Keyring
from service.ledger.seal import open_sealed

OPEN, ERASED, RESTRICTED, GONE, DAMAGED = "open", "erased", "restricted", "gone", "damaged"

_ENTRIES = """
SELECT e.entry_id, e.header, e.event_key,
       CASE WHEN 'core' = ANY($2::text[]) THEN e.core END AS core,
       CASE WHEN 'staff' = ANY($2::text[]) THEN e.staff END AS staff,
       CASE WHEN 'subject' = ANY($2::text[]) THEN e.subject END AS subject,
       e.subject IS NOT NULL AS has_subject,
       k.key_id, k.subject_tag, k.wrapped,
       k.subject_tag IN (SELECT subject_tag FROM restricted_subject) AS restricted
FROM ledger_entry e
LEFT JOIN entry_subject s ON s.entry_id = e.entry_id
LEFT JOIN subject_key k ON k.key_id = s.key_id
WHERE e.entry_id = ANY($1::bytea[])
"""
_MONTH_KEYS = "SELECT name, wrapped FROM ledger_key WHERE name = ANY($1::text[])"


class AuditEntry(NamedTuple):
    """An entry: its header, and of each block what it says or why not.

    `blocks` has the opened ones; `states` all that the header names and that were asked for:
    `open`, `erased` (its key or the block is gone), `restricted`, `gone` (past its retention) or
    `damaged`. The subject's state is told even when the block was not asked for, `sealed` then
    being the other word. `is_answer`: no other entry answers the same event.
    """

    header: Header
    header_bytes: bytes
    blocks: Mapping[str, dict[str, Any]]
    states: Mapping[str, str]
    is_answer: bool

    @property
    def entry_id(self) -> str:
        return self.header.entry_id.hex()


class EntryOpener:
    """Opens entries of one log with the keys of its ring."""

    def __init__(self, ring: Keyring, log: str) -> None:
        self._ring = ring
        self._log = log

    async def entries(
        self,
        connection: Any,
        entry_ids: Sequence[bytes],
        blocks: Collection[str],
        *,
        even_restricted: bool = False,
    ) -> list[AuditEntry]:
        """Return those of the entries that there are, in the order of the ids.

        An entry whose header cannot be read is left out: `touchstone ledger verify` shows it.
        `even_restricted` is for work that shows nothing of what it reads. Raises `WrongKek` and
        what asyncpg raises.
        """
        rows = await connection.fetch(_ENTRIES, entry_ids, list(blocks))
        headers: dict[bytes, Header] = {}
        for row in rows:
            with contextlib.suppress(BadHeader):
                headers[row["entry_id"]] = parse_header(row["header"])
        wanted = {
            str(name)
            for header in headers.values()
            for block, (name, _) in header.blocks.items()
            if block in blocks and name is not None
        }
        keys = {
            row["name"]: self._ring.open_month_key(row["name"], row["wrapped"])
            for row in await connection.fetch(_MONTH_KEYS, sorted(wanted))
        }
        found = {
            row["entry_id"]: self._opened(
                row, headers[row["entry_id"]], blocks, keys, even_restricted
            )
            for row in rows
            if row["entry_id"] in headers
        }
        return [found[entry_id] for entry_id in dict.fromkeys(entry_ids) if entry_id in found]

    def _opened(
        self,
        row: Any,
        header: Header,
        blocks: Collection[str],
        keys: Mapping[str, bytes],
        even_restricted: bool,
    ) -> AuditEntry:
        opened: dict[str, dict[str, Any]] = {}
        states: dict[str, str] = {}
        for block, (name, _) in header.blocks.items():
            if block == "subject":
                states[block] = self._subject_state(row, block in blocks, even_restricted)
            elif block in blocks:
                states[block] = OPEN if row[block] is not None and name in keys else GONE
            if block not in blocks or states[block] != OPEN:
                continue
            try:
                key = self._subject_key(row) if block == "subject" else keys[str(name)]
                opened[block] = self._content(key, row, block)
            except (SealBroken, BadHeader, ValueError):
                states[block] = DAMAGED
        return AuditEntry(header, row["header"], opened, states, row["event_key"] is not None)

    @staticmethod
    def _subject_state(row: Any, is_asked: bool, even_restricted: bool) -> str:
        if not row["has_subject"] or row["wrapped"] is None:
            return ERASED
        if row["restricted"] and not even_restricted:
            return RESTRICTED
        return OPEN if is_asked else "sealed"

    def _subject_key(self, row: Any) -> bytes:
        return self._ring.open_subject_key(row["key_id"], row["subject_tag"], row["wrapped"])

    def _content(self, key: bytes, row: Any, block: str) -> dict[str, Any]:
        framed = unframed(open_sealed(key, self._log, row["entry_id"], block, row[block]))
        if block == "core" and framed.claims != claims_of(row["header"]):
            raise SealBroken("the header says something else than its core block")
        content: dict[str, Any] = orjson.loads(framed.content)
        return content
