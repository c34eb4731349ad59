"""The stand-alone verifier reads headers, notes and proofs as the service writes them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from service.audit.package import verify
from service.ledger import note as notes
from service.ledger.entry import claims_of, parse_header
from service.ledger.errors import BadHeader
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.proofs import consistency_path
from tests.made_packages import made_log, tree_of

HEADERS = [row.header for row in made_log(random.Random(1), 30).rows]


@pytest.mark.parametrize("header", HEADERS[:10])
def test_headers_are_read_alike(header: bytes) -> None:
    """Every field of a header means the same to verifier and service."""
    mine, theirs = verify.parse_header(header), parse_header(header)
    assert bytes.fromhex(mine.entry) == theirs.entry_id
    assert (mine.log, mine.seq, mine.type) == (theirs.log, theirs.seq, theirs.type)
    assert (bytes.fromhex(mine.writer), mine.versions) == (theirs.writer, theirs.versions)
    assert verify.seconds_of(mine.time) == theirs.time.timestamp()
    assert mine.blocks == {block: digest for block, (_, digest) in theirs.blocks.items()}
    assert mine.claims == claims_of(header)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(HEADERS), st.data())
def test_headers_are_refused_alike(header: bytes, data: st.DataObject) -> None:
    """What one of the two refuses as a header the other refuses too."""
    at = data.draw(st.integers(0, len(header) - 1))
    piece = data.draw(st.sampled_from([b"", b"0", b'"', b" ", b"{}", b"2026-02-30", b"\\u0061"]))
    cut = data.draw(st.integers(0, 3))
    changed = header[:at] + piece + header[at + cut :]
    assert _is_read_by_verifier(changed) == _is_read_by_service(changed)


def _is_read_by_service(header: bytes) -> bool:
    try:
        parse_header(header)
    except BadHeader:
        return False
    return True


def _is_read_by_verifier(header: bytes) -> bool:
    try:
        verify.parse_header(header)
    except (verify.Invalid, ValueError):
        return False
    return True


def test_consistency_proofs_are_read_alike() -> None:
    """Every consistency proof to 40 leaves leads to both roots, and to no other."""
    leaves = [bytes([number]) * 32 for number in range(40)]
    nodes: dict[tuple[int, int], bytes] = {(0, idx): leaf for idx, leaf in enumerate(leaves)}
    for node in Peaks().extend(leaves, 1):
        nodes[node.level, node.idx] = node.hash
    roots = [tree_of(leaves[:size]).root() for size in range(41)]
    for second in range(2, 41):
        for first in range(1, second):
            path = consistency_path(lambda *place: nodes[place], first, second)
            old = None if first & (first - 1) else roots[first]
            rest = iter(path)
            assert verify.two_roots(first, second, rest, old) == (roots[first], roots[second])
            assert next(rest, None) is None


def test_notes_are_read_alike() -> None:
    """Keys, plain signatures and those with a time hold for both; a changed one for neither."""
    key = Ed25519PrivateKey.generate()
    vkey = notes.vkey_of("example.com/log", key.public_key().public_bytes_raw())
    keys = verify.read_vkey(vkey)
    text = notes.checkpoint_text(notes.Checkpoint("example.com/log", 7, bytes(32)))
    signed = text + "\n" + notes.sign_line(key, "example.com/log", text)
    assert verify.read_checkpoint(signed, keys) == ("example.com/log", 7, bytes(32), 0)
    timed = signed + notes.sign_line(key, "example.com/log", text, 1_790_000_000)
    assert verify.signatures(timed, keys) == (text, {"example.com/log": 1_790_000_000})
    assert verify.signatures(signed, {}) == (text, {})
    with pytest.raises(ValueError, match="not a verifier key"):
        verify.read_vkey(vkey.replace("example", "elsewhere"))


NASTY = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", ";=1", "\uff1d1", 'a"b,c', "x\r\n=1", "-")


@pytest.mark.parametrize("text", NASTY)
def test_no_cell_is_a_formula(text: str) -> None:
    """A spreadsheet executes no cell of the CSV view, and the line stays one line of a table."""
    header = verify.parse_header(HEADERS[0])
    core = {"answer": {"outcome": text, "degraded": [text, text], "score": 0.5}}
    entry = verify.Entry(0, HEADERS[0], header, {"core": json.dumps(core).encode()}, {})
    _, line, event = verify.views(entry, {"core": core, "staff": {"actor": text}})
    rows = list(csv.DictReader(io.StringIO((verify.CSV_HEAD + line).decode(), newline="")))
    assert len(rows) == 1
    for cell in rows[0].values():
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")), cell
        assert ";=" not in cell
    assert json.loads(event)["unmapped"]["outcome"] == text


def test_texts_are_there_in_both_languages() -> None:
    """Each text has both languages with the same gaps, and the READMEs explain every finding."""
    for line in verify.TEXTS.splitlines():
        code, english, chinese = line.split("|")
        assert english.count("{") == chinese.count("{"), code
    assert len(verify.TEXTS.splitlines()) == 9


def test_the_file_has_at_most_500_lines() -> None:
    """An auditor can read the verifier in an hour."""
    assert len(Path(verify.__file__).read_text("utf-8").splitlines()) <= 500


def test_the_readmes_explain_every_finding() -> None:
    """Each code and each reason that the verifier prints stands in both READMEs."""
    source = Path(verify.__file__).read_text("utf-8")
    codes = set(re.findall(r'Invalid\("([a-z_]+)"', source))
    codes |= set(re.findall(r'\[(?:GAP|INCOMPLETE), f"([a-z_]+) ', source))
    codes |= {"malformed", "older", "unconnected", *verify.REASONS, *verify.REASONS_LOST}
    assert len(codes) > 15
    for language in ("en", "zh"):
        text = Path(verify.__file__).with_name(f"README.{language}.md").read_text("utf-8")
        assert {code for code in codes if f"`{code}" not in text} == set(), language


def test_a_block_that_is_not_the_recorded_one() -> None:
    """Another hash, other claims, another place or no commitment: the block is refused."""
    log = made_log(random.Random(2), 3)
    row, secret = log.rows[0], log.secrets[0]["core"]
    header = verify.parse_header(row.header)
    assert row.core is not None
    assert verify.open_block(header, "core", secret, row.core).content
    uncommitted = bytes(32) + row.core[32:]
    digest = hashlib.sha256(uncommitted).hexdigest()
    for changed, sealed in (
        (header._replace(blocks={**header.blocks, "core": "0" * 64}), row.core),
        (header._replace(claims=bytes(32)), row.core),
        (header._replace(entry="0" * 32), row.core),
        (header._replace(blocks={**header.blocks, "core": digest}), uncommitted),
    ):
        with pytest.raises(verify.Invalid):
            verify.open_block(changed, "core", secret, sealed)


def test_versions_stand_in_one_order() -> None:
    """A header whose versions are written in another order is not canonical."""
    header = HEADERS[0]
    start = header.index(b'"versions":{') + 12
    pairs = header[start : header.index(b"}", start)].split(b",")
    changed = header.replace(b",".join(pairs), b",".join(pairs[::-1]))
    assert changed != header
    with pytest.raises(verify.Invalid):
        verify.parse_header(changed)
