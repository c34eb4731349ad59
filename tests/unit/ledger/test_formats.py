"""What was written by version 1 is read for ever: seals, wrapped keys, spool files."""

from __future__ import annotations

import json
from pathlib import Path

from service.ledger.entry import Framed, unframed
from service.ledger.frames import decoded
from service.ledger.keys import FileKek
from service.ledger.seal import open_sealed
from service.ledger.spool import Found, Spool

GOLDEN = Path(__file__).parents[2] / "golden/ledger"
FORMATS = json.loads((GOLDEN / "formats_v1.json").read_text())


def test_sealed_block_opens() -> None:
    """A block that was sealed by version 1 opens."""
    opened = open_sealed(
        bytes.fromhex(FORMATS["key"]),
        FORMATS["log"],
        bytes.fromhex(FORMATS["entry_id"]),
        FORMATS["block"],
        bytes.fromhex(FORMATS["sealed"]),
    )
    assert opened.hex() == FORMATS["plaintext"]
    assert unframed(opened) == Framed(
        b'{"outcome":"review"}', b"event-key", b"body-hash", bytes(range(64, 96))
    )


def test_wrapped_key_unwraps() -> None:
    """A key that was wrapped by version 1 unwraps, and its KEK is known by the same id."""
    kek = FileKek(bytes.fromhex(FORMATS["kek"]))
    assert kek.kek_id.hex() == FORMATS["kek_id"]
    unwrapped = kek.unwrap(FORMATS["key_name"], bytes.fromhex(FORMATS["wrapped"]))
    assert unwrapped.hex() == FORMATS["key"]


def test_spool_file_is_read(tmp_path: Path) -> None:
    """A spool file that version 1 left is drained."""
    path = tmp_path / "left.spool"
    path.write_bytes(bytes.fromhex(FORMATS["spool"]))
    spool = Spool.adopt(path)
    assert spool is not None
    (piece,) = spool.groups()
    spool.release()
    assert isinstance(piece, Found)
    group = decoded(piece.payload)
    assert [key.name for key in group.month_keys] == ["core/2026-11/0a0b0c0d"]
    assert [key.subject_tag for key in group.subject_keys] == ["user:tag"]
    (row,) = group.rows
    assert row.header == (GOLDEN / "header_v1.json").read_bytes()
    assert (row.seq, row.core, row.subject, row.event_key) == (42, b"core", None, b"event-key")
