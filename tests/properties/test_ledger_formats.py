"""Formats of the ledger: whatever goes in comes out, whatever is changed is seen."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.entry import (
    EntryDraft,
    Framed,
    framed,
    header_bytes,
    header_head,
    header_tail,
    parse_header,
    unframed,
)
from service.ledger.errors import BadHeader, SpoolBroken
from service.ledger.frames import Group, MonthKeyRow, SubjectKeyRow, decoded, encoded
from service.ledger.row import StoredRow

ids = st.binary(min_size=16, max_size=16)
blocks = st.none() | st.binary(max_size=50)
tags = st.none() | st.binary(min_size=1, max_size=64)
times = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 -- Hypothesis wants it naive
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 -- Hypothesis wants it naive
    timezones=st.just(UTC),
)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
names = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)
rows = st.builds(
    StoredRow,
    ids,
    names,
    ids,
    st.integers(1, 2**62),
    times.map(lambda time: time.replace(microsecond=0)),
    st.binary(max_size=100),
    blocks,
    blocks,
    blocks,
    tags,
    tags,
    st.none() | ids,
    st.lists(st.binary(min_size=4, max_size=4), max_size=8).map(tuple),
)
groups = st.builds(
    Group,
    st.lists(st.builds(MonthKeyRow, st.text(), st.binary(max_size=80)), max_size=2),
    st.lists(st.builds(SubjectKeyRow, ids, st.text(), st.binary(max_size=80)), max_size=3),
    st.lists(rows, max_size=5),
)
headers = st.builds(
    lambda entry_id, kind, time, versions, writer, seq, core, subject: header_bytes(
        (
            header_head(
                "log",
                entry_id,
                {"core": ("core/2026-11/00", core)}
                | ({"subject": (None, subject)} if subject else {}),
            ),
            header_tail(EntryDraft(entry_id, kind, None, None, time, versions, b"")),
        ),
        writer,
        seq,
    ),
    ids,
    names,
    times,
    st.dictionaries(names, hashes, max_size=4),
    ids,
    st.integers(1, 2**62),
    hashes,
    st.none() | hashes,
)


@given(groups)
def test_group_reads_back(group: Group) -> None:
    """A group of the spool reads back as it was."""
    assert decoded(encoded(group)) == group


@given(groups.filter(lambda group: group.rows), st.data())
def test_cut_group_is_never_taken_for_another(group: Group, data: st.DataObject) -> None:
    """A cut group is refused or is a shorter one: no field is ever made up."""
    whole = encoded(group)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        shorter = decoded(cut)
    except SpoolBroken:
        return
    assert shorter.rows == group.rows[: len(shorter.rows)]


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_order(data: bytes) -> None:
    """No bytes make the decoder fail in another way."""
    with contextlib.suppress(SpoolBroken):
        decoded(data)


@given(headers)
def test_every_header_is_canonical(header: bytes) -> None:
    """What the writer builds is what the verifier accepts."""
    parse_header(header)


@given(headers, st.data())
def test_changed_header_says_something_else_or_is_refused(
    header: bytes, data: st.DataObject
) -> None:
    """Two headers that say the same have the same bytes."""
    place = data.draw(st.integers(0, len(header) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != header[place]))
    changed = header[:place] + bytes([byte]) + header[place + 1 :]
    try:
        said = parse_header(changed)
    except BadHeader:
        return
    assert said != parse_header(header)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_header(data: bytes) -> None:
    """Random bytes are no header, and are refused as such."""
    with pytest.raises(BadHeader):
        parse_header(data)


@given(st.builds(Framed, st.binary(max_size=50), tags, tags, tags))
def test_frame_reads_back(block: Framed) -> None:
    """What a block vouches for, and its content, come back as they were."""
    assert unframed(framed(block)) == block
