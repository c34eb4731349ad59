"""Headers: exact bytes, nothing about a person, nothing but the canonical form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from service.ledger.entry import (
    EntryDraft,
    check_draft,
    claims_digest,
    claims_of,
    header_bytes,
    header_head,
    header_tail,
    parse_header,
)
from service.ledger.errors import BadDraft, BadHeader

GOLDEN = Path(__file__).parents[2] / "golden/ledger/header_v1.json"
BLOCKS = {
    "core": ("core/2026-11/0a0b0c0d", "c" * 64),
    "subject": (None, "e" * 64),
    "staff": ("staff/2026-11/01020304", "d" * 64),
}
DRAFT = EntryDraft(
    entry_id=b"\x11" * 16,
    type="decision",
    event_key=b"key",
    body_hash=b"hash",
    observed_at=datetime(2026, 11, 22, 16, 15, 30, 999999, tzinfo=timezone(timedelta(hours=8))),
    versions={"rules": "a" * 64, "bundle": "b" * 64},
    core=b"{}",
    subject=b"{}",
    subject_tag="user:tag",
)


def golden_header() -> bytes:
    parts = header_head("shop/main", DRAFT.entry_id, BLOCKS), header_tail(DRAFT)
    return header_bytes(parts, b"\x22" * 16, 42)


def test_golden() -> None:
    """The header of version 1 has these bytes for ever."""
    assert golden_header() == GOLDEN.read_bytes()


def test_is_what_a_json_library_calls_canonical() -> None:
    """Python's own serialiser writes the same bytes."""
    raw = json.loads(golden_header())
    assert json.dumps(raw, sort_keys=True, separators=(",", ":")).encode() == golden_header()


def test_reads_back() -> None:
    """Parsing gives what went in, in UTC and in whole seconds."""
    header = parse_header(golden_header())
    assert header.entry_id == DRAFT.entry_id
    assert header.writer == b"\x22" * 16
    assert header.seq == 42
    assert header.time == datetime(2026, 11, 22, 8, 15, 30, tzinfo=UTC)
    assert header.versions == DRAFT.versions
    assert header.blocks == BLOCKS
    assert (header.log, header.type) == ("shop/main", "decision")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"seq":42', b'"seq":0'),
        (b'"seq":42', b'"seq":"42"'),
        (b'"seq":42', b'"seq":042'),
        (b'"seq":42', b'"seq": 42'),
        (b'"seq":42', b'"seq":42.0'),
        (b'"seq":42', b'"seq":true'),
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":1.0'),
        (b'"v":1', b'"v":true'),
        (b'"v":1', b'"user":"u","v":1'),
        (b"15:30Z", b"15:30.5Z"),
        (b"15:30Z", b"15:99Z"),
        (b'"type":"decision"', b'"type":"DECISION"'),
        (b'"type":"decision"', b'"type":null'),
        (b'"subject":{', b'"subject":{"key":"subject/1",'),
        (b'"core":{"key":"core/2026-11/0a0b0c0d",', b'"core":{'),
        (b"cccccc", b"CCCCCC"),
        (b"shop/main", b"shop|main"),
        (b'"rules":"aa', b'"rules":"ab'[:-2] + b"zz"),
        (b'"log"', b'"Log"'),
        (b"}", b""),
    ],
)
def test_refuses_any_other_form(old: bytes, new: bytes) -> None:
    """A header that is not canonical, complete and of version 1 is refused."""
    header = golden_header()
    assert old in header
    with pytest.raises(BadHeader):
        parse_header(header.replace(old, new))


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"1", b"\xff", b"[" * 100_000])
def test_refuses_what_is_no_header(raw: bytes) -> None:
    """Any bytes at all are refused in an orderly way."""
    with pytest.raises(BadHeader):
        parse_header(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"entry_id": b"short"},
        {"type": 'decision","x":"'},
        {"type": ""},
        {"event_key": b""},
        {"event_key": b"k" * 65},
        {"body_hash": b""},
        {"observed_at": datetime(2026, 11, 22)},  # noqa: DTZ001 -- naive on purpose
        {"core": b"x" * (1 << 20) + b"x"},
    ],
)
def test_draft_that_could_not_be_stored(change: dict[str, Any]) -> None:
    """A draft that would spoil a batch is refused before it joins one."""
    with pytest.raises(BadDraft):
        check_draft(DRAFT._replace(**change))


@pytest.mark.parametrize(
    "versions", [{"rules": "a" * 16}, {"rules": "A" * 64}, {"Rules": "a" * 64}]
)
def test_versions_are_full_hashes(versions: dict[str, str]) -> None:
    """A version that does not name its content for ever is refused."""
    with pytest.raises(BadDraft):
        header_tail(DRAFT._replace(versions=versions))


def test_claims_are_found_in_the_exact_bytes() -> None:
    """What core seals of the header is cut out of its bytes, never serialised again."""
    assert claims_of(golden_header()) == claims_digest(header_tail(DRAFT).encode())
    assert claims_of(golden_header().replace(b"aaaa", b"aaab")) != claims_of(golden_header())
    assert claims_of(golden_header().replace(b"08:15", b"08:16")) != claims_of(golden_header())
