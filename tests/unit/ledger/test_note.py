"""Notes as others write and read them, and everything that is no note."""

from __future__ import annotations

import base64
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.note import (
    COSIGNATURE,
    Checkpoint,
    NoteInvalid,
    checkpoint_text,
    cosigner,
    manifest_text,
    next_key_text,
    parse_checkpoint,
    parse_line,
    parse_next_key,
    parse_note,
    parse_vkey,
    sign_line,
    verify_line,
    verify_note,
    vkey_of,
)

# The example of Go's golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""  # noqa: E501 -- one line in fact
# The example of c2sp.org/tlog-cosignature.
C2SP_NOTE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501 -- one line in fact
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "example.com/log"
KEY = parse_vkey(vkey_of(NAME, PRIVATE.public_key().public_bytes_raw()))
TEXT = checkpoint_text(Checkpoint(NAME, 7, bytes(32)))
NOTE = f"{TEXT}\n{sign_line(PRIVATE, NAME, TEXT)}{sign_line(PRIVATE, NAME, TEXT, 1_700_000_000)}"


def test_a_note_of_go_verifies() -> None:
    """What Go's implementation signed holds here, and its key is written as Go writes it."""
    key = parse_vkey(GO_KEY)
    assert verify_note(parse_note(GO_NOTE), key) is None
    assert str(key) == GO_KEY
    assert str(parse_note(GO_NOTE)) == GO_NOTE


def test_the_example_of_the_specification_is_read() -> None:
    """Origin, size and two lines, the second with the time that the specification names."""
    note = parse_note(C2SP_NOTE)
    checkpoint = parse_checkpoint(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint_text(checkpoint) == note.text
    assert int.from_bytes(note.lines[1].signature[:8], "big") == 1679315147


def test_both_signatures_hold() -> None:
    """The plain line has no time, the cosignature has the one that was signed."""
    note = parse_note(NOTE)
    assert verify_note(note, KEY) is None
    assert verify_note(note, cosigner(KEY)) == 1_700_000_000
    assert parse_vkey(str(cosigner(KEY))).kind == COSIGNATURE


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_every_flipped_byte_is_seen(place: int, bits: int) -> None:
    """With any byte changed it is no note, or none that we signed."""
    raw = bytearray(NOTE.encode())
    raw[place] ^= bits
    with pytest.raises((NoteInvalid, UnicodeDecodeError)):
        _verify_both(bytes(raw))


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "a", "a\n", "a\n\n", f"\n\n{sign_line(PRIVATE, NAME, TEXT)}", NOTE[:-1],
        NOTE + "\n", NOTE + "x", NOTE.replace("\n\n", "\n"), NOTE.replace("—", "-"),
        NOTE.replace("\n", "\r\n"), NOTE.replace(NAME, f"{NAME}\x00"),
        NOTE.replace("7", "\ud800"), TEXT + "\n" + sign_line(PRIVATE, NAME, TEXT) * 65,
        TEXT + "\n— name AAAA\n", TEXT + "\n— name+x AAAAAAA=\n", "x" * 70_000 + NOTE,
    ],
)  # fmt: skip
def test_what_is_no_note(text: str) -> None:
    """Each is refused as such."""
    with pytest.raises(NoteInvalid):
        parse_note(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "a\n1\n", f"a\n01\n{base64.b64encode(bytes(32)).decode()}\n",
        f"a\n-1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"a\n{2**63}\n{base64.b64encode(bytes(32)).decode()}\n",
        f"a\n1\n{base64.b64encode(bytes(31)).decode()}\n",
        f"a b\n1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"a\n1\n{base64.b64encode(bytes(32)).decode()[:-2]}B=\n",
        f"a\n1\n{base64.b64encode(bytes(32)).decode()}\nextension\n",
        f"a\n1\n{base64.b64encode(bytes(32)).decode()}",
        f"a\n１\n{base64.b64encode(bytes(32)).decode()}\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint(text: str) -> None:
    """Other numbers, other lengths, other spellings, other lines."""
    with pytest.raises(NoteInvalid):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "", "a", "a+b", GO_KEY.replace("c7", "c8"), GO_KEY.replace("ARpc", "AhpC"),
        GO_KEY.replace("TW", "TX"), "a b" + GO_KEY[12:], GO_KEY.replace("ARpc", "Bhpc"),
        "+" + GO_KEY,
    ],
)  # fmt: skip
def test_what_is_no_key(vkey: str) -> None:
    """A letter that is wrong shows in the key id; types that are not Ed25519 are not taken."""
    with pytest.raises(NoteInvalid):
        parse_vkey(vkey)


def test_a_signature_is_of_one_key_text_and_kind() -> None:
    """Another key, text, name or kind, or a length that is wrong, does not hold."""
    plain, timed = parse_note(NOTE).lines
    other = parse_vkey(vkey_of(NAME, Ed25519PrivateKey.generate().public_key().public_bytes_raw()))
    for key, text, line in (
        (other, TEXT, plain), (KEY, TEXT, timed), (cosigner(KEY), TEXT, plain),
        (KEY, TEXT + "x\n", plain), (cosigner(KEY), TEXT + "x\n", timed),
        (KEY, TEXT, plain._replace(name="example.com/other")),
        (KEY, TEXT, plain._replace(signature=plain.signature[:-1])),
        (cosigner(KEY), TEXT, timed._replace(signature=b"\x80" + timed.signature[1:])),
        (cosigner(KEY), TEXT, timed._replace(signature=bytes(8) + timed.signature[8:])),
    ):  # fmt: skip
        with pytest.raises(NoteInvalid):
            verify_line(key, text, line)


def test_statements_are_no_checkpoints() -> None:
    """What else the signer signs cannot be taken for a tree, nor for one another."""
    manifest = manifest_text(uuid.UUID(int=7), bytes(32))
    handover = next_key_text(NAME, str(KEY))
    assert parse_next_key(handover) == (NAME, KEY)
    for text in (manifest, handover):
        with pytest.raises(NoteInvalid):
            parse_checkpoint(text)
    for text in (manifest, TEXT, handover.replace("signer", "sinner"), handover + "x\n"):
        with pytest.raises(NoteInvalid):
            parse_next_key(text)


def test_a_line_is_written_as_it_was_read() -> None:
    """Bytes and text agree."""
    line = sign_line(PRIVATE, NAME, TEXT)
    assert str(parse_line(line)) == line


def _verify_both(raw: bytes) -> None:
    note = parse_note(raw.decode())
    verify_note(note, KEY)
    verify_note(note, cosigner(KEY))
