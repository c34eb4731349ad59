"""What a package may claim that no attack on the whole of it touches: each is checked by itself."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.audit.package import verify
from service.ledger.entry import parse_header
from service.ledger.errors import BadHeader
from service.ledger.note import Checkpoint, checkpoint_text, manifest_text, sign_line, vkey_of
from tests.made_packages import (
    MadeLog,
    checked,
    export_of,
    made_log,
    made_package,
    members_of,
    packed,
    text_of,
    tree_of,
    with_manifest,
)

INVALID = 2


@pytest.mark.parametrize("size", range(1, 13))
def test_an_older_tree_is_the_one_that_its_proof_leads_to(size: int) -> None:
    """Whoever keeps a checkpoint of a fork is not told that the log of it is the beginning of this
    one: an older root is believed for its proof alone, whatever its size."""
    log = made_log(random.Random(1), 16)
    fork = made_log(random.Random(2), 16, key=log.key)
    # Entries before the range are not there: nothing but the proof tells.
    genuine = export_of(log, 13, 16, earlier=(size,))
    assert checked(_packed(log, genuine), log.vkey, log.checkpoint(size))[0] == 0
    (older,) = genuine["earlier"]
    lied = {**older, "root": text_of(tree_of(fork.leaves()[:size]).root())}
    code, report = checked(
        _packed(log, {**genuine, "earlier": [lied]}), log.vkey, fork.checkpoint(size)
    )
    assert code == INVALID, report
    longer = {**older, "path": [*older["path"], text_of(bytes(32))]}
    code, report = checked(_packed(log, {**genuine, "earlier": [longer]}), log.vkey)
    assert code == INVALID, report


def test_times_are_those_of_one_calendar() -> None:
    """A year of any four digits is read by verifier and service, or refused by both."""
    header = made_log(random.Random(5), 1).rows[0].header
    start = header.index(b'"time":"') + 8
    for year, is_one in ((b"0026", True), (b"0999", True), (b"9999", True), (b"0000", False)):
        changed = header[:start] + year + header[start + 4 :]
        for parse in (verify.parse_header, parse_header):
            if is_one:
                parse(changed)
            else:
                with pytest.raises((verify.Invalid, ValueError, BadHeader)):
                    parse(changed)


def test_what_opens_is_a_line_of_json_of_the_known_format() -> None:
    """A block of another format, no object, or more than a line is refused though it was sealed so:
    views have one line for it."""
    for content, version in (
        (b'{"a": 1}', 1),
        (b'{"a": 1}', 2),
        (b"[1]", 1),
        (b'"text"', 1),
        (b'{"a":\n1}', 1),
        (b'{"a":\r1}', 1),
        (b"{", 1),
    ):
        header, secret, sealed = _sealed(content, version)
        if (content, version) == (b'{"a": 1}', 1):
            assert verify.open_block(header, "core", secret, sealed).value == {"a": 1}
            # An HMAC takes a key without its last zeros for the same key.
            for other in (secret[:-1], secret + b"\0"):
                with pytest.raises(verify.Invalid):
                    verify.open_block(header, "core", other, sealed)
        else:
            with pytest.raises(verify.Invalid):
                verify.open_block(header, "core", secret, sealed)


@pytest.mark.parametrize("field", ["entries", "opened", "withheld", "export_id", "members"])
def test_every_claim_of_the_manifest_is_counted_again(field: str) -> None:
    """A manifest that the signer signed is believed in nothing: counts, members, whose it is."""
    log = made_log(random.Random(3), 8)
    export = export_of(log, 0, 8)
    members = with_manifest(log, members_of(log, export), export)
    assert checked(packed(members), log.vkey)[0] == 0
    manifest = json.loads(members["manifest.json"])
    if field == "members":
        manifest["members"][3]["sha256"] = "0" * 64
    elif field == "export_id":
        manifest["export_id"] = str(uuid.UUID(int=1))
    elif field == "entries":
        manifest["counts"]["entries"] += 1
    else:
        block, number = next(iter(manifest["counts"][field].items()))
        manifest["counts"][field][block] = {} if field == "withheld" else number - 1
    data = verify.canonical(manifest)
    text = manifest_text(uuid.UUID(export["export_id"]), hashlib.sha256(data).digest())
    lied = {**members, "manifest.json": data, "manifest.note": log.signed(text).encode()}
    code, report = checked(packed(lied), log.vkey)
    assert code == INVALID, report


def test_the_log_is_no_witness_of_itself() -> None:
    """Only keys that were given as witnesses are told as such."""
    log = made_log(random.Random(8), 9)
    witness = Ed25519PrivateKey.generate()
    vkey = vkey_of("w.example", witness.public_key().public_bytes_raw())
    text = checkpoint_text(Checkpoint("shop", 9, tree_of(log.leaves()).root()))
    cosigned = log.checkpoint() + sign_line(witness, "w.example", text, 1_790_000_000)
    for witnesses, told in (([vkey], 1), ([], 0)):
        package = made_package(log, 0, 9, checkpoint=cosigned)
        code, report = checked(package, log.vkey, witnesses=witnesses)
        assert (code, report.count("\n  witness ")) == (0, told), report


def _packed(log: MadeLog, export: dict[str, object]) -> bytes:
    return packed(with_manifest(log, members_of(log, export), export))


def _sealed(content: bytes, version: int) -> tuple[verify.Header, bytes, bytes]:
    """Return a header, a secret and a core block of a content, as `seal.py` has it."""
    header = verify.parse_header(made_log(random.Random(4), 1).rows[0].header)
    secret, nonce = bytes(range(31)) + b"\0", bytes(12)
    commitment = hmac.digest(secret, b"touchstone block commitment v1\x01", "sha256")
    key = hmac.digest(secret, b"touchstone block subkey v1\x01", "sha256")
    place = f"{header.log}|".encode() + bytes.fromhex(header.entry) + b"|core"
    plain = bytes([version, 0, 0, 32]) + header.claims + content
    sealed = commitment + nonce + AESGCM(key).encrypt(nonce, plain, place)
    digest = hashlib.sha256(sealed).hexdigest()
    return header._replace(blocks={"core": digest}), secret, sealed
