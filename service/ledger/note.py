"""How are checkpoints written down and signed, so that tools of others understand them?

Signed notes (c2sp.org/signed-note), checkpoints (c2sp.org/tlog-checkpoint) and cosignatures
(c2sp.org/tlog-cosignature). Pure. Invariant: one text for one content: what parses is written back
byte for byte, and nothing is taken from a note whose signature was not verified.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from service.ledger.errors import LedgerError

# Signature types of the specification: the note's text itself, and the text with a time before it.
ED25519 = 0x01
COSIGNATURE = 0x04
# The specification asks for 16 signatures at least.
MAX_LINES = 64
MAX_NOTE_CHARS = 64 * 1024
MAX_SIZE = 2**63 - 1

_DASH = "\u2014 "
_NAME = re.compile(r"[^\s+]{1,200}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")
# Control characters, and halves of characters that UTF-8 has not.
_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: 8 + 64}
_MANIFEST = "touchstone export manifest v1"
_NEXT_KEY = "touchstone signer key v1"


class NoteInvalid(LedgerError):
    """The text is no note, checkpoint or key, or a signature does not hold."""

    code = "note_invalid"


class SignatureLine(NamedTuple):
    """One signature of a note: whose it says it is, and its bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {_base64(self.key_id + self.signature)}\n"


class Note(NamedTuple):
    """A text that ends in a newline, and its signatures, none of them verified."""

    text: str
    lines: tuple[SignatureLine, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.lines))}"


class VerifierKey(NamedTuple):
    """A public key with the name that it signs under and its signature type."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return _key_id(self.name, self.kind, self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([self.kind]) + self.public)}"


class Checkpoint(NamedTuple):
    """A tree at one moment: the log's name, the number of leaves and the root over them."""

    origin: str
    size: int
    root: bytes


def parse_note(text: str) -> Note:
    """Return the note; raises `NoteInvalid` unless it would be written exactly so.

    >>> parse_note("no signature")
    Traceback (most recent call last):
    service.ledger.note.NoteInvalid: it is no signed note
    """
    if len(text) > MAX_NOTE_CHARS or _FORBIDDEN.search(text):
        raise NoteInvalid("it is no signed note")
    head, blank, tail = text.rpartition("\n\n")
    if not blank or not head or not tail.endswith("\n"):
        raise NoteInvalid("it is no signed note")
    lines = tuple(parse_line(f"{line}\n") for line in tail[:-1].split("\n"))
    if len(lines) > MAX_LINES:
        raise NoteInvalid("it has too many signatures")
    return Note(f"{head}\n", lines)


def parse_line(text: str) -> SignatureLine:
    """Return one signature line, which ends in a newline. Raises `NoteInvalid`."""
    if not text.startswith(_DASH) or not text.endswith("\n"):
        raise NoteInvalid("it is no signature line")
    name, space, encoded = text[len(_DASH) : -1].partition(" ")
    if not space or _NAME.fullmatch(name) is None:
        raise NoteInvalid("it is no signature line")
    raw = _bytes(encoded)
    if len(raw) <= 4:
        raise NoteInvalid("a signature line has no signature")
    return SignatureLine(name, raw[:4], raw[4:])


def vkey_of(name: str, public: bytes, kind: int = ED25519) -> str:
    """Return a public key (32 bytes) as the text that is given to verifiers."""
    return str(VerifierKey(check_name(name), kind, public))


def parse_vkey(text: str) -> VerifierKey:
    """Return the key; raises `NoteInvalid` on damage and on types that are not Ed25519.

    >>> parse_vkey("example.com/log+00000000+AQ==")
    Traceback (most recent call last):
    service.ledger.note.NoteInvalid: it is no verifier key
    """
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    if _NAME.fullmatch(name) is None or _KEY_ID.fullmatch(key_id) is None:
        raise NoteInvalid("it is no verifier key")
    raw = _bytes(encoded)
    if len(raw) != 33 or raw[0] not in _SIGNATURE_BYTES:
        raise NoteInvalid("it is no verifier key")
    key = VerifierKey(name, raw[0], raw[1:])
    if key.key_id.hex() != key_id:
        raise NoteInvalid("its key id is not that of the key: a letter is wrong")
    return key


def sign_line(key: Ed25519PrivateKey, name: str, text: str, time: int | None = None) -> str:
    """Sign a note's text: plainly, or with `time` (seconds since 1970) as a cosignature."""
    check_name(name)
    public = key.public_key().public_bytes_raw()
    kind = ED25519 if time is None else COSIGNATURE
    signature = key.sign(_message(text, time))
    stamp = b"" if time is None else time.to_bytes(8, "big")
    return str(SignatureLine(name, _key_id(name, kind, public), stamp + signature))


def verify_line(key: VerifierKey, text: str, line: SignatureLine) -> int | None:
    """Return the time of a cosignature, `None` for a plain signature.

    Raises `NoteInvalid` when the line is not of this key or does not hold for the text.
    """
    if (line.name, line.key_id) != (key.name, key.key_id):
        raise NoteInvalid(f"the signature is not one of {key.name}+{key.key_id.hex()}")
    time, signature = None, line.signature
    if len(signature) != _SIGNATURE_BYTES[key.kind]:
        raise NoteInvalid(f"the signature of {key.name} does not hold")
    if key.kind == COSIGNATURE:
        time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        if time > MAX_SIZE:
            raise NoteInvalid(f"the signature of {key.name} has no possible time")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, _message(text, time))
    except (InvalidSignature, ValueError):
        raise NoteInvalid(f"the signature of {key.name} does not hold") from None
    return time


def verify_note(note: Note, key: VerifierKey) -> int | None:
    """Verify every line of this key; return the latest time, `None` for plain signatures.

    Raises `NoteInvalid` when there is none or when one does not hold.
    """
    mine = [line for line in note.lines if (line.name, line.key_id) == (key.name, key.key_id)]
    if not mine:
        raise NoteInvalid(f"{key.name}+{key.key_id.hex()} has not signed it")
    times = [verify_line(key, note.text, line) for line in mine]
    return max((time for time in times if time is not None), default=None)


def cosigner(key: VerifierKey) -> VerifierKey:
    """Return the key as one that signs with a time: how witnesses sign, whatever their vkey says.

    >>> str(cosigner(parse_vkey(vkey_of("w.example", bytes(32)))))[:19]
    'w.example+00df7ba9+'
    """
    return key._replace(kind=COSIGNATURE)


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return the text to sign.

    >>> checkpoint_text(Checkpoint("example.com/log", 0, bytes(32)))
    'example.com/log\\n0\\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\\n'
    """
    return f"{check_name(checkpoint.origin)}\n{checkpoint.size}\n{_base64(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of a note's text. Raises `NoteInvalid`, also on extension lines."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or _NUMBER.fullmatch(lines[1]) is None:
        raise NoteInvalid("it is no checkpoint")
    root, size = _bytes(lines[2]), int(lines[1])
    if len(root) != 32 or size > MAX_SIZE:
        raise NoteInvalid("it is no checkpoint")
    return Checkpoint(check_name(lines[0]), size, root)


def manifest_text(export_id: uuid.UUID, sha256: bytes) -> str:
    """Return the text that the signer signs for the manifest of an export."""
    return f"{_MANIFEST}\n{export_id}\n{sha256.hex()}\n"


def next_key_text(origin: str, vkey: str) -> str:
    """Return the text with which a key hands over to the next one.

    The next key's name differs from the one before when the log goes on under another origin.
    """
    return f"{_NEXT_KEY}\n{check_name(origin)}\n{vkey}\n"


def parse_next_key(text: str) -> tuple[str, VerifierKey]:
    """Return origin and next key of a hand-over. Raises `NoteInvalid`."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != _NEXT_KEY or lines[3]:
        raise NoteInvalid("it is no statement of a next key")
    key = parse_vkey(lines[2])
    if str(key) != lines[2]:
        raise NoteInvalid("it is no statement of a next key")
    return check_name(lines[1]), key


def check_name(name: str) -> str:
    """Return the name of a log or key; raises `NoteInvalid` when no note could carry it."""
    if _NAME.fullmatch(name) is None or not name.isprintable():
        raise NoteInvalid("a name has 1 to 200 characters, none of them a space or +")
    return name


def _message(text: str, time: int | None) -> bytes:
    head = "" if time is None else f"cosignature/v1\ntime {time}\n"
    return f"{head}{text}".encode()


def _key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(f"{name}\n".encode() + bytes([kind]) + public).digest()[:4]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteInvalid("it is not base64") from None
    if _base64(data) != text:  # other spellings of the same bytes
        raise NoteInvalid("it is not base64")
    return data
