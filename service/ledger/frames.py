"""What does one group of the spool hold, as bytes?

A group is what one fsync makes durable: the key rows that its entries need, then the entries. Every
record is a kind byte and its fields, each a length (4 bytes, big endian; all ones: none) and bytes.
An entry that has terms is a record of its own kind; one without is written as it always was.
Invariant: `decoded(encoded(group)) == group`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from service.ledger.entry import TERM_BYTES
from service.ledger.errors import SpoolBroken
from service.ledger.keys import MonthKey, SubjectKey
from service.ledger.row import StoredRow

_LENGTH = struct.Struct(">I")
_NUMBERS = struct.Struct(">qq")
_NONE = 0xFFFFFFFF
_ENTRY, _ENTRY_WITH_TERMS, _MONTH_KEY, _SUBJECT_KEY = b"E", b"T", b"M", b"S"
_FIELDS = {_ENTRY: 11, _ENTRY_WITH_TERMS: 12, _MONTH_KEY: 2, _SUBJECT_KEY: 3}


class MonthKeyRow(NamedTuple):
    """A row of `ledger_key`."""

    name: str
    wrapped: bytes


class SubjectKeyRow(NamedTuple):
    """A row of `subject_key`."""

    key_id: bytes
    subject_tag: str
    wrapped: bytes


class Group(NamedTuple):
    """Rows that become durable together."""

    month_keys: list[MonthKeyRow]
    subject_keys: list[SubjectKeyRow]
    rows: list[StoredRow]


def month_key_rows(keys: Iterable[MonthKey]) -> list[MonthKeyRow]:
    """Return the rows of the keys that are not stored, each once."""
    return [MonthKeyRow(key.name, key.wrapped) for key in dict.fromkeys(keys) if not key.stored]


def subject_key_rows(keys: Iterable[SubjectKey | None]) -> list[SubjectKeyRow]:
    """Return the rows of the keys that are not stored, each once."""
    return [
        SubjectKeyRow(key.key_id, key.subject_tag, key.wrapped)
        for key in dict.fromkeys(keys)
        if key is not None and not key.stored
    ]


def encoded(group: Group) -> bytes:
    """Return the group as bytes."""
    parts: list[bytes] = []
    for month in group.month_keys:
        _put(parts, _MONTH_KEY, (month.name.encode(), month.wrapped))
    for subject in group.subject_keys:
        fields = (subject.key_id, subject.subject_tag.encode(), subject.wrapped)
        _put(parts, _SUBJECT_KEY, fields)
    for row in group.rows:
        numbers = _NUMBERS.pack(row.seq, int(row.observed.timestamp()))
        # The slice is header to key_id.
        entry = (row.entry_id, row.type.encode(), row.writer, numbers, *row[5:12])
        if row.terms:
            _put(parts, _ENTRY_WITH_TERMS, (*entry, b"".join(row.terms)))
        else:
            _put(parts, _ENTRY, entry)
    return b"".join(parts)


def decoded(data: bytes) -> Group:
    """Return the group; raises `SpoolBroken` on bytes that `encoded` does not write."""
    group = Group([], [], [])
    at = 0
    try:
        while at < len(data):
            kind = data[at : at + 1]
            at += 1
            fields: list[bytes | None] = []
            for _ in range(_FIELDS[kind]):
                (length,) = _LENGTH.unpack_from(data, at)
                at += _LENGTH.size
                if length == _NONE:
                    fields.append(None)
                    continue
                if at + length > len(data):
                    raise SpoolBroken("a record of the spool runs over its group")
                fields.append(data[at : at + length])
                at += length
            _collect(group, kind, fields)
    except (struct.error, KeyError, ValueError, TypeError, AttributeError):
        raise SpoolBroken("a record of the spool cannot be read") from None
    return group


def _put(parts: list[bytes], kind: bytes, fields: Sequence[bytes | None]) -> None:
    parts.append(kind)
    for field in fields:
        if field is None:
            parts.append(_LENGTH.pack(_NONE))
        else:
            parts.append(_LENGTH.pack(len(field)))
            parts.append(field)


def _collect(group: Group, kind: bytes, fields: list[bytes | None]) -> None:
    if kind == _MONTH_KEY:
        group.month_keys.append(MonthKeyRow(_must(fields[0]).decode(), _must(fields[1])))
        return
    if kind == _SUBJECT_KEY:
        tag = _must(fields[1]).decode()
        group.subject_keys.append(SubjectKeyRow(_must(fields[0]), tag, _must(fields[2])))
        return
    seq, second = _NUMBERS.unpack(_must(fields[3]))
    core, subject, staff, event_key, body_hash, key_id = fields[5:11]
    group.rows.append(
        StoredRow(
            _must(fields[0]),
            _must(fields[1]).decode(),
            _must(fields[2]),
            seq,
            datetime.fromtimestamp(second, UTC),
            _must(fields[4]),
            core,
            subject,
            staff,
            event_key,
            body_hash,
            key_id,
            _terms(_must(fields[11])) if kind == _ENTRY_WITH_TERMS else (),
        )
    )


def _terms(joined: bytes) -> tuple[bytes, ...]:
    if len(joined) % TERM_BYTES:
        raise ValueError
    return tuple(joined[at : at + TERM_BYTES] for at in range(0, len(joined), TERM_BYTES))


def _must(field: bytes | None) -> bytes:
    if field is None:
        raise TypeError
    return field
