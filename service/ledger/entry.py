"""What is an entry of the ledger, and what are the exact bytes of its header?

A header is canonical JSON (keys sorted, no spaces, ASCII): it is built once, stored and hashed as
it is, and no verifier serialises it again. Invariant: a header names no person, no subject key and
nothing that leads to one. Version 1 of the format is fixed by `tests/golden/ledger`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from service.ledger.errors import BadDraft, BadHeader, SealBroken

HEADER_VERSION = 1
ID_BYTES = 16
MAX_TAG_BYTES = 64
MAX_BLOCK_BYTES = 1 << 20
TERM_BYTES = 4
MAX_TERMS = 16
BLOCKS = ("core", "staff", "subject")

_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,31}")
_LOG = re.compile(r"[a-z0-9][a-z0-9._/-]{0,63}")
_KEY = re.compile(r"[a-z0-9][a-z0-9/-]{0,63}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HASH = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{32}")
_FIELDS = {"blocks", "entry", "log", "seq", "time", "type", "v", "versions", "writer"}


class EntryDraft(NamedTuple):
    """What a caller hands to `LedgerWriter.append`: an entry before it is sealed and numbered.

    `event_key` and `body_hash` (1 to 64 bytes each) are keyed tags, never plain hashes of what a
    person can guess; at most one entry of the log carries an event key. `observed_at` is aware and
    recorded in whole seconds: a finer time belongs into `core`. `versions` maps a name (`rules`,
    `bundle`, `catalog`, `policy`, `code`) to the full SHA-256 in hex. `core` and `subject` are JSON
    objects as bytes. `subject_tag` says whose key seals `subject`; `None` gives the block a key of
    its own. `staff` is for entries about people at work. `terms` are what the blind
    index finds the entry by (`service/audit/blind_index.py`), stored beside the link to the
    subject's key: an entry without `subject` has none.
    """

    entry_id: bytes
    type: str
    event_key: bytes | None
    body_hash: bytes | None
    observed_at: datetime
    versions: Mapping[str, str]
    core: bytes
    subject: bytes | None = None
    subject_tag: str | None = None
    staff: bytes | None = None
    terms: tuple[bytes, ...] = ()


class Header(NamedTuple):
    """A parsed header; `blocks` maps a block to its key name (`None`: not named) and SHA-256."""

    log: str
    entry_id: bytes
    type: str
    writer: bytes
    seq: int
    time: datetime
    versions: dict[str, str]
    blocks: dict[str, tuple[str | None, str]]


def check_draft(draft: EntryDraft) -> None:
    """Raise `BadDraft` when the draft could not be stored or read back."""
    if len(draft.entry_id) != ID_BYTES:
        raise BadDraft("entry_id must be 16 bytes")
    if _TYPE.fullmatch(draft.type) is None:
        raise BadDraft("type must be lower case letters, digits, _ and .")
    for tag in (draft.event_key, draft.body_hash):
        if tag is not None and not 0 < len(tag) <= MAX_TAG_BYTES:
            raise BadDraft(f"event_key and body_hash must be 1 to {MAX_TAG_BYTES} bytes")
    if draft.observed_at.tzinfo is None:
        raise BadDraft("observed_at must be aware")
    for block in (draft.core, draft.subject, draft.staff):
        if block is not None and len(block) > MAX_BLOCK_BYTES:
            raise BadDraft(f"a block is longer than {MAX_BLOCK_BYTES} bytes")
    if draft.terms:
        _check_terms(draft)


def _check_terms(draft: EntryDraft) -> None:
    if draft.subject is None:
        raise BadDraft("an entry without a subject block has no terms")
    if len(draft.terms) > MAX_TERMS or any(len(term) != TERM_BYTES for term in draft.terms):
        raise BadDraft(f"an entry has at most {MAX_TERMS} terms of {TERM_BYTES} bytes each")


def header_head(log: str, entry_id: bytes, blocks: Mapping[str, tuple[str | None, str]]) -> str:
    """Return the header's text before its sequence number."""
    inner = []
    for block in BLOCKS:
        if block in blocks:
            key, digest = blocks[block]
            named = "" if key is None else f'"key":"{key}",'
            inner.append(f'"{block}":{{{named}"sha256":"{digest}"}}')
    return f'{{"blocks":{{{",".join(inner)}}},"entry":"{entry_id.hex()}","log":"{log}","seq":'


def header_tail(draft: EntryDraft) -> str:
    """Return the header's text between its sequence number and its writer."""
    return (
        f',"time":"{_time_text(int(draft.observed_at.timestamp()))}","type":"{draft.type}","v":1,'
        f'"versions":{_versions_text(tuple(draft.versions.items()))},"writer":"'
    )


def claims_digest(tail: bytes) -> bytes:
    """Return what the core block seals of the header: SHA-256 of its tail (time, type, versions).

    With log, entry id and block names in the additional data, and the columns repeating writer and
    number, nothing of a header is left that could be changed unseen on its own.
    """
    return hashlib.sha256(tail).digest()


def claims_of(header: bytes) -> bytes:
    """Return the digest of the tail of an exact, valid header."""
    end = b'"writer":"'
    return claims_digest(header[header.index(b',"time":"') : header.rindex(end) + len(end)])


def header_bytes(parts: tuple[str, str], writer: bytes, seq: int) -> bytes:
    """Return the exact header from its head and tail, which outlive a change of its number."""
    return f'{parts[0]}{seq}{parts[1]}{writer.hex()}"}}'.encode()


def parse_header(header: bytes) -> Header:
    """Parse header bytes; raises `BadHeader` unless they are canonical and of version 1.

    >>> parse_header(b'{"v":1}')
    Traceback (most recent call last):
    service.ledger.errors.BadHeader: its fields are not those of version 1
    """
    try:
        raw: Any = json.loads(header)
        canonical = json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise BadHeader("it is not JSON") from None
    if not isinstance(raw, dict) or raw.keys() != _FIELDS or raw["v"] != HEADER_VERSION:
        raise BadHeader("its fields are not those of version 1")
    if canonical != header:
        raise BadHeader("it is not canonical JSON")
    ok = (
        _is(_ID, raw["entry"])
        and _is(_LOG, raw["log"])
        and _is(_ID, raw["writer"])
        and _is(_TYPE, raw["type"])
        and type(raw["seq"]) is int  # True and 1.0 are equal to 1, and other bytes
        and raw["seq"] >= 1
        and type(raw["v"]) is int
        and isinstance(raw["versions"], dict)
        and all(_is(_NAME, name) and _is(_HASH, text) for name, text in raw["versions"].items())
        and isinstance(raw["blocks"], dict)
        and all(_is_block(name, block) for name, block in raw["blocks"].items())
    )
    if not ok:
        raise BadHeader("a field has a value that version 1 does not allow")
    return Header(
        log=raw["log"],
        entry_id=bytes.fromhex(raw["entry"]),
        type=raw["type"],
        writer=bytes.fromhex(raw["writer"]),
        seq=raw["seq"],
        time=_time(raw["time"]),
        versions=raw["versions"],
        blocks={name: (block.get("key"), block["sha256"]) for name, block in raw["blocks"].items()},
    )


def check_log_name(log: str) -> None:
    """Raise `BadDraft` unless headers may name this log."""
    if _LOG.fullmatch(log) is None:
        raise BadDraft("a log is named by lower case letters, digits and . _ / -, 64 at most")


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_block(name: str, block: object) -> bool:
    # The subject's key is never named: the name would tie a person's entries together for ever.
    if name not in BLOCKS or not isinstance(block, dict):
        return False
    fields = {"sha256"} if name == "subject" else {"key", "sha256"}
    return (
        block.keys() == fields
        and _is(_HASH, block["sha256"])
        and (name == "subject" or _is(_KEY, block["key"]))
    )


def _time(text: object) -> datetime:
    try:
        time = datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BadHeader("its time is not a whole second in UTC") from None
    if _time_text(int(time.timestamp())) != text:
        raise BadHeader("its time is not a whole second in UTC")
    return time


@lru_cache(maxsize=1024)
def _time_text(second: int) -> str:
    # Not strftime: its year has fewer than four digits before the year 1000.
    return f"{datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()}Z"


@lru_cache(maxsize=64)
def _versions_text(versions: tuple[tuple[str, str], ...]) -> str:
    for name, text in versions:
        if _NAME.fullmatch(name) is None or _HASH.fullmatch(text) is None:
            raise BadDraft(f"the version {name!r} must be a full SHA-256 in lower case hex")
    return json.dumps(dict(versions), sort_keys=True, separators=(",", ":"))


class Framed(NamedTuple):
    """The plaintext of a block: what it vouches for outside itself, and its content.

    `event_key` and `body_hash` are stored in clear beside the entry for look-ups; sealed here they
    cannot be changed there unseen. They are in the subject block when there is one, so that erasing
    the person also erases what leads back to the event, else in core. `claims` is in core.
    """

    content: bytes
    event_key: bytes | None = None
    body_hash: bytes | None = None
    claims: bytes | None = None


def framed(block: Framed) -> bytes:
    """Return the bytes to seal: format, then each of the three (length byte, bytes), the content.

    >>> unframed(framed(Framed(b"{}", event_key=b"k")))
    Framed(content=b'{}', event_key=b'k', body_hash=None, claims=None)
    """
    key, body, claims = block.event_key or b"", block.body_hash or b"", block.claims or b""
    return b"\x01%c%b%c%b%c%b%b" % (
        len(key), key, len(body), body, len(claims), claims, block.content,
    )  # fmt: skip


def unframed(plaintext: bytes) -> Framed:
    """Return a block's plaintext in its parts; raises `SealBroken` on another format."""
    if len(plaintext) < 4 or plaintext[0] != 1:
        raise SealBroken("the block has a format that this code does not know")
    parts, at = [], 1
    for _ in range(3):
        end = at + 1 + plaintext[at]
        parts.append(plaintext[at + 1 : end] or None)
        at = end
    return Framed(plaintext[at:], *parts)
