"""Which blocks of an entry does a package show, and why not the others?

Invariants: a block is shown only when the request discloses it, its type passes the filter and
nobody's rights stand against it at the moment of reading; every other block that the header names
has exactly one reason; what is shown opens in its place, as the verifier will see it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.audit.package.request import PackageRequest
from service.audit.package.verify import (
    Entry,
    Header,
    Invalid,
    open_block,
    opened_line,
    parse_header,
    seconds_of,
    views,
    withheld_line,
)
from service.ledger.errors import LedgerError, SealBroken
from service.ledger.keys import Keyring
from service.ledger.seal import block_secret, is_committed, open_disclosed
from service.ledger.tree.hashes import leaf_hash

# Persons come back within hours; unwrapping a key again costs 5 µs.
SUBJECT_KEYS_CACHED = 20_000


class RecordDamaged(LedgerError):
    """An entry cannot be exported as it is; `touchstone ledger verify` says more."""

    code = "record_damaged"

    def __init__(self, idx: int, why: str) -> None:
        super().__init__(f"Entry {idx} of the tree {why}. Run `touchstone ledger verify`.")


class SealedEarly(LedgerError):
    """An entry is asked for whose blocks prove nothing to an outsider: they have no commitment."""

    code = "sealed_early"

    def __init__(self, idx: int) -> None:
        super().__init__(
            f"Entry {idx} of the tree was sealed by an early release: its blocks cannot be proven "
            "outside. Ask for entries after it, or for other types of entries."
        )


class Shown(NamedTuple):
    """One entry as the package has it: its lines of the entries part and of the three views."""

    entry: Entry
    values: Mapping[str, dict[str, Any]]
    lines: bytes
    json_line: bytes
    csv_row: bytes
    ocsf_line: bytes


@dataclass(slots=True)
class Discloser:
    """Shows the entries of one request. `month_keys`: core and staff keys by name, those there are.

    Rows are those of `rows.py`.
    """

    request: PackageRequest
    ring: Keyring
    month_keys: Mapping[str, bytes]
    subject_keys: OrderedDict[bytes, bytes]
    started: datetime

    def show(self, row: Any) -> Shown:
        """Return what the package has of an entry.

        Raises `RecordDamaged`, `SealedEarly` and `WrongKek`.
        """
        idx, exact = row["idx"], row["header"]
        if exact is None:
            raise RecordDamaged(idx, "is missing")
        if leaf_hash(exact) != row["hash"]:
            raise RecordDamaged(idx, "is not the one that was placed there")
        try:
            header = parse_header(exact)
            opened: dict[str, bytes] = {}
            values: dict[str, dict[str, Any]] = {}
            withheld: dict[str, str] = {}
            lines = [exact, b"\n"]
            for block in header.blocks:
                reason = self._reason(header, block, row)
                key = None if reason else self._key(block, row)
                if reason or key is None:
                    reason = reason or self._without_key(header, block)
                    withheld[block] = reason
                    lines.append(withheld_line(block, reason))
                    continue
                secret = block_secret(key, row["entry_id"], block)
                sealed = row[block]
                if _is_early(header, block, secret, sealed):
                    raise SealedEarly(idx)
                found = open_block(header, block, secret, sealed)
                opened[block], values[block] = found.content, found.value
                lines.append(opened_line(block, secret, sealed))
        except (Invalid, SealBroken) as error:
            found_wrong = " ".join(map(str, error.args))
            raise RecordDamaged(idx, f"does not hold: {found_wrong}") from None
        entry = Entry(idx, exact, header, opened, withheld)
        return Shown(entry, values, b"".join(lines), *views(entry, values))

    def _reason(self, header: Header, block: str, row: Any) -> str | None:
        """Return why a block is withheld, before its key is asked for."""
        request = self.request
        if request.types is not None and header.type not in request.types:
            return "filter"
        if block not in request.blocks:
            return "not_requested" if block in request.may_see else "role"
        if block == "subject" and row["is_restricted"]:
            return "restricted"
        return None if row[block] is not None else self._without_key(header, block)

    def _key(self, block: str, row: Any) -> bytes | None:
        if block != "subject":
            return self.month_keys.get(_key_name(row["header"], block))
        wrapped = row["wrapped"]
        if wrapped is None:
            return None
        key_id: bytes = row["key_id"]
        key = self.subject_keys.get(key_id)
        if key is None:
            key = self.ring.open_subject_key(key_id, row["subject_tag"], wrapped)
            self.subject_keys[key_id] = key
            if len(self.subject_keys) > SUBJECT_KEYS_CACHED:
                self.subject_keys.popitem(last=False)
        return key

    def _without_key(self, header: Header, block: str) -> str:
        """Return why a block, or its key, is not there any more."""
        periods = self.request.periods
        at = datetime.fromtimestamp(seconds_of(header.time), UTC)
        if periods is not None and periods.is_past(block, header.type, at, self.started):
            return "retention"
        return "erased" if block == "subject" else "key_missing"


def _is_early(header: Header, block: str, secret: bytes, sealed: bytes) -> bool:
    """Whether a block is whole, but of the form that had no commitment."""
    if is_committed(secret, sealed):
        return False
    try:
        open_disclosed(secret, header.log, bytes.fromhex(header.entry), block, sealed)
    except SealBroken:
        return False
    return True


def _key_name(exact: bytes, block: str) -> str:
    # `parse_header` has seen that the header has exactly this form.
    mark = b'"%b":{"key":"' % block.encode()
    begin = exact.index(mark) + len(mark)
    return exact[begin : exact.index(b'"', begin)].decode()
