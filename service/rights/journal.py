"""Whose data was erased, for ever, without saying whose?

A keyed digest of each tag with the time up to which it was erased, in the table `erasure_journal`
and in a file beside the database: a backup is older than the erasures after it. Invariant: before
an erasure is committed, its records are in the file and fsynced.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

FILE_NAME = "erasures.journal"
_HEAD = b"touchstone erasures v1\n"
_ADD = """
INSERT INTO erasure_journal (digest, erased_until)
SELECT * FROM unnest($1::bytea[], $2::timestamptz[]) ORDER BY 1
ON CONFLICT (digest, erased_until) DO NOTHING
"""
_SINCE = "SELECT id, digest, erased_until FROM erasure_journal WHERE id > $1 ORDER BY id"


class Record(NamedTuple):
    """One tag, by its digest, and the whole second up to which its data was erased."""

    digest: bytes
    until: datetime


class Digests:
    """Makes digests of subject tags. Holds a secret key, so it never shows it."""

    __slots__ = ("_key",)

    def __init__(self, tag_key: bytes) -> None:
        """Derive the key from the 32 bytes that tags are derived from."""
        self._key = HKDFExpand(SHA256(), 32, b"touchstone/erasure/1").derive(tag_key)

    def of(self, subject_tag: str) -> bytes:
        """Return the digest of `kind:tag`.

        >>> Digests(bytes(32)).of("user:a").hex()[:8]
        'f11ccd6b'
        """
        return hmac.digest(self._key, subject_tag.encode(), "sha256")

    def __repr__(self) -> str:
        return "Digests(...)"


class Erased:
    """Up to which time each tag was erased: asked for the tags of events and keys."""

    def __init__(self, digests: Digests, records: Iterable[Record] = ()) -> None:
        self._digests = digests
        self._until: dict[bytes, datetime] = {}
        self.add(records)

    def __len__(self) -> int:
        return len(self._until)

    def add(self, records: Iterable[Record]) -> None:
        """Learn of more erasures; of several of one tag the last counts."""
        for digest, until in records:
            before = self._until.get(digest)
            if before is None or before < until:
                self._until[digest] = until

    def until(self, subject_tag: str) -> datetime | None:
        """Return up to when the data of this tag was erased."""
        return self._until.get(self._digests.of(subject_tag)) if self._until else None

    def without(self, tags: Mapping[str, str], observed_ms: int) -> Mapping[str, str]:
        """Return an event's tags, kind to tag, but for those that were erased after it."""
        if not self._until:
            return tags
        at = datetime.fromtimestamp(observed_ms / 1000, UTC)
        gone = {
            kind
            for kind, tag in tags.items()
            if (until := self.until(f"{kind}:{tag}")) is not None and at <= until
        }
        return {kind: tag for kind, tag in tags.items() if kind not in gone} if gone else tags


class JournalFile:
    """The file of one machine; several processes may add to it at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, records: Iterable[Record]) -> None:
        """Append records and fsync; raises OSError."""
        lines = "".join(f"{row.digest.hex()} {int(row.until.timestamp())}\n" for row in records)
        is_fresh = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A line that was cut short by a crash ends here, and is passed over by `read`.
            os.write(descriptor, (_HEAD if is_fresh else b"\n") + lines.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_fresh:
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def read(self) -> list[Record]:
        """Return all records, none when there is no file. What is no record is passed over."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [record for line in lines if (record := _record(line)) is not None]


async def add_records(connection: Any, records: Iterable[Record]) -> None:
    """Put records into the table, each once. Raises what asyncpg raises."""
    rows = list(records)
    await connection.execute(_ADD, [row.digest for row in rows], [row.until for row in rows])


async def records_since(connection: Any, last_id: int) -> tuple[list[Record], int]:
    """Return the records of the table after the one with this id, and the last id there is."""
    rows = await connection.fetch(_SINCE, last_id)
    records = [Record(row["digest"], row["erased_until"]) for row in rows]
    return records, rows[-1]["id"] if rows else last_id


def _record(line: bytes) -> Record | None:
    digest, _, seconds = line.partition(b" ")
    try:
        record = Record(bytes.fromhex(digest.decode()), datetime.fromtimestamp(int(seconds), UTC))
    except (ValueError, OverflowError):
        return None
    return record if len(record.digest) == 32 else None
