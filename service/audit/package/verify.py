"""Is this package of a Touchstone ledger genuine and complete? One file, nobody is asked.

`python3 verify.py PACKAGE.tar --key VKEY_OR_FILE [--since CHECKPOINT_FILE] [--witness VKEY]`
needs Python 3.11 and `cryptography`. Exit code: 0 proven, 2 invalid, 3 gap, 4 incomplete,
5 untrusted key, 64 wrongly called. The builder of packages uses the format's functions below.
Invariant: "proven" is said only when every byte of the package was accounted for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import tarfile
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = "touchstone export 1"
PART_ENTRIES = 100_000
BLOCKS = ("core", "staff", "subject")
REASONS = ("role", "not_requested", "filter", "erased", "restricted", "retention", "key_missing")
FIRST_MEMBERS = ("README.en.md", "README.zh.md", "verify.py", "export.json")
LAST_MEMBERS = ("manifest.json", "manifest.note")
TAR_BLOCK = 512
TAR_END = bytes(1024)
OCSF_VERSION = "1.5.0"
CSV_HEAD = (
    b"index,time,type,entry,writer,seq,outcome,score,reasons,rules,degraded,actor,"
    b"core,staff,subject,rules_version,bundle_version\r\n"
)

# ---- The format: what the builder writes and the verifier expects, byte for byte.


class Invalid(Exception):
    """The package is not what it claims to be. `code` names the text, with what fills it."""

    def __init__(self, code: str, *details: object) -> None:
        super().__init__(code, *details)
        self.code, self.details = code, details


class Header(NamedTuple):
    """An entry's header; `blocks` maps a block to the SHA-256 (hex) of its sealed bytes.

    `claims` is the SHA-256 of the bytes from time to writer, which the core block seals as well.
    """

    entry: str
    log: str
    seq: int
    time: str
    type: str
    versions: Mapping[str, str]
    writer: str
    blocks: dict[str, str]
    claims: bytes


class Entry(NamedTuple):
    """One entry as a package shows it: each block of the header is opened or withheld.

    `opened` maps a block to its content (a JSON object), `withheld` to one of `REASONS`.
    """

    idx: int
    exact: bytes
    header: Header
    opened: Mapping[str, bytes]
    withheld: Mapping[str, str]


def canonical(value: object) -> bytes:
    """Return JSON as `export.json` and `manifest.json` are written: sorted, ASCII, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def member_header(name: str, size: int) -> bytes:
    """Return the 512 bytes before a member of the tar. Its content follows, then `padding`."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def padding(size: int) -> bytes:
    """Return the zero bytes after a member of `size` bytes. `TAR_END` follows the last member."""
    return bytes(-size % TAR_BLOCK)


def part_members(number: int) -> tuple[str, str, str, str, str]:
    """Return a part's members in their order: entries, then JSON lines, CSV, OCSF and Parquet.

    Every part but the last has `PART_ENTRIES` entries; an empty range has no part.
    """
    five = f"{number:05d}"
    return (
        f"entries-{five}.txt",
        f"views/entries-{five}.jsonl",
        f"views/entries-{five}.csv",
        f"views/ocsf-{five}.jsonl",
        f"views/entries-{five}.parquet",
    )


def opened_line(block: str, secret: bytes, sealed: bytes) -> bytes:
    """Return the line of an entries part that discloses a block (`seal.block_secret`)."""
    return b"%b opened %b %b\n" % (
        block.encode(), base64.b64encode(secret), base64.b64encode(sealed),
    )  # fmt: skip


def withheld_line(block: str, reason: str) -> bytes:
    """Return the line of an entries part that says why a block is not there."""
    return f"{block} withheld {reason}\n".encode()


def reasons_allowed(block: str, kind: str, export: Mapping[str, Any]) -> frozenset[str]:
    """Return the reasons that `export.json` allows for withholding a block of an entry of a type.

    `filter` when the filter leaves the type out; `role` or `not_requested` when the block is not
    among the disclosed; otherwise what happened to the block or its key.
    """
    wanted, types = block in export["blocks"], export["filter"]
    reasons = set() if wanted else {"role", "not_requested"}
    if types is not None and kind not in types:
        reasons.add("filter")
    elif wanted:
        reasons = {"retention", "key_missing"} | ({"erased", "restricted"} & _of_person(block))
    return frozenset(reasons)


def _of_person(block: str) -> set[str]:
    return {"erased", "restricted"} if block == "subject" else set()


_HEADER = re.compile(
    r'\{"blocks":\{'
    r'(?:"core":\{"key":"[a-z0-9][a-z0-9/-]{0,63}","sha256":"(?P<core>[0-9a-f]{64})"\})?'
    r'(?:(?(core),)"staff":\{"key":"[a-z0-9][a-z0-9/-]{0,63}","sha256":"(?P<staff>[0-9a-f]{64})"\})?'
    r'(?:(?(core),|(?(staff),))"subject":\{"sha256":"(?P<subject>[0-9a-f]{64})"\})?'
    r'\},"entry":"([0-9a-f]{32})","log":"([a-z0-9][a-z0-9._/-]{0,63})","seq":([1-9][0-9]*)'
    r'(,"time":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)",'
    r'"type":"([a-z][a-z0-9_.]{0,31})","v":1,"versions":(\{[^{}]*\}),"writer":")([0-9a-f]{32})"\}'
)
_VERSION = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HASH = re.compile(r"[0-9a-f]{64}")


def parse_header(exact: bytes) -> Header:
    """Parse the exact bytes of a header; raises `Invalid` unless they are canonical, version 1."""
    try:
        text = exact.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise Invalid("header")
    core, staff, subject, entry, log, seq, tail, time, kind, versions, writer = found.groups()
    seconds_of(time)
    blocks = {}
    if core:
        blocks["core"] = core
    if staff:
        blocks["staff"] = staff
    if subject:
        blocks["subject"] = subject
    return Header(
        entry, log, int(seq[:19]), time, kind, _versions(versions), writer, blocks, _sha256(tail)
    )


@lru_cache(maxsize=1024)
def seconds_of(time: str) -> int:
    """Return a header's time as seconds since 1970; raises `Invalid` when no calendar has it."""
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except ValueError:
        raise Invalid("header") from None


@lru_cache(maxsize=256)
def _versions(text: str) -> Mapping[str, str]:
    try:
        found = json.loads(text)
        good = text.encode() == canonical(found) and all(
            _VERSION.fullmatch(name) and isinstance(value, str) and _HASH.fullmatch(value)
            for name, value in found.items()
        )
    except ValueError:
        good = False
    if not good:
        raise Invalid("header")
    return dict(found)


@lru_cache(maxsize=1024)
def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Opened(NamedTuple):
    """A block's content, and whether its sealed bytes commit to one secret (all but early ones)."""

    content: bytes
    value: dict[str, Any]
    is_committed: bool


def open_block(header: Header, block: str, secret: bytes, sealed: bytes) -> Opened:
    """Open a disclosed block in its place; raises `Invalid` when anything about it was changed.

    The construction is that of `service/ledger/seal.py`: the header names the SHA-256 of the sealed
    bytes, they commit to the secret, and log, entry and block are authenticated with the content.
    """
    if hashlib.sha256(sealed).hexdigest() != header.blocks[block]:
        raise Invalid("block_hash", block, header.entry)
    key, rest = secret, sealed
    commitment = hmac.digest(secret, b"touchstone block commitment v1\x01", "sha256")
    is_committed = hmac.compare_digest(sealed[:32], commitment)
    if is_committed:
        key = hmac.digest(secret, b"touchstone block subkey v1\x01", "sha256")
        rest = sealed[32:]
    place = b"%b|%b|%b" % (header.log.encode(), bytes.fromhex(header.entry), block.encode())
    try:
        plain = AESGCM(key).decrypt(rest[:12], rest[12:], place)
    except (InvalidTag, ValueError):
        raise Invalid("block_sealed", block, header.entry) from None
    content, claims = _unframed(plain)
    if block == "core" and claims != header.claims:
        raise Invalid("claims", header.entry)
    try:
        value = _decode(content.decode())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or b"\n" in content or b"\r" in content:
        raise Invalid("content", block, header.entry)
    return Opened(content, value, is_committed)


def _unframed(plain: bytes) -> tuple[bytes, bytes]:
    """Return content and claims of a plaintext: format, three fields with their length, content."""
    fields, at = [], 1
    for _ in range(3):
        end = at + 1 + plain[at] if at < len(plain) else 0
        fields.append(plain[at + 1 : end])
        at = end
    if plain[:1] != b"\x01" or not 0 < at <= len(plain):
        raise Invalid("frame")
    return plain[at:], fields[2]


def _refuse(name: str) -> None:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_constant=_refuse).decode


def views(entry: Entry, values: Mapping[str, dict[str, Any]]) -> tuple[bytes, bytes, bytes]:
    """Return the lines of an entry in the JSON lines, CSV and OCSF views.

    `values` are the parsed contents of `entry.opened`. CSV files begin with `CSV_HEAD`.
    """
    header, told = entry.header, _told(values)
    withheld = ",".join(f'"{block}":"{reason}"' for block, reason in entry.withheld.items())
    opened = entry.opened
    line = b'{"index":%d,"header":%b,"core":%b,"staff":%b,"subject":%b,"withheld":{%b}}\n' % (
        entry.idx,
        entry.exact,
        opened.get("core", b"null"),
        opened.get("staff", b"null"),
        opened.get("subject", b"null"),
        withheld.encode(),
    )
    states = ["opened" if block in opened else entry.withheld.get(block, "") for block in BLOCKS]
    row = (
        f"{entry.idx},{header.time},{header.type},{header.entry},{header.writer},{header.seq},"
        f"{_cell(told.outcome)},{told.score},{_cell(' '.join(told.reasons))},"
        f"{_cell(' '.join(told.rules))},{_cell(' '.join(told.degraded))},{_cell(told.actor)},"
        f"{','.join(states)},{header.versions.get('rules', '')},"
        f"{header.versions.get('bundle', '')}\r\n"
    )
    return line, row.encode(), _ocsf(entry, told, withheld).encode()


class _Told(NamedTuple):
    """What the opened blocks say that a table can show."""

    outcome: str
    score: str
    reasons: list[str]
    rules: list[str]
    degraded: list[str]
    actor: str


def _told(values: Mapping[str, dict[str, Any]]) -> _Told:
    answer = values.get("core", {}).get("answer")
    answer = answer if isinstance(answer, dict) else {}
    actor = values.get("staff", {}).get("actor")
    outcome, score = answer.get("outcome"), answer.get("score")
    return _Told(
        outcome if isinstance(outcome, str) else "",
        repr(score) if isinstance(score, float) and math.isfinite(score) else "",
        _texts(answer.get("reasons"), "code"),
        _texts(answer.get("rule_hits"), "rule_id"),
        _texts(answer.get("degraded"), None),
        actor if isinstance(actor, str) else "",
    )


def _texts(found: object, field: str | None) -> list[str]:
    """Return the texts of a list, or of one field of the objects in it."""
    if not isinstance(found, list):
        return []
    if field is not None:
        found = [item.get(field) for item in found if isinstance(item, dict)]
    return [item for item in found if isinstance(item, str)]


_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. :/-]*|")
_FORMULA = re.compile("(^|[;,|\t\r\n])(\\s*)([=+\\-@\uff1d\uff0b\uff0d\uff20])")


def _cell(text: str) -> str:
    """Return a CSV cell that no spreadsheet takes for a formula, whatever its separator."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + _FORMULA.sub(r"\1\2'\3", text).replace('"', '""') + '"'


_SEVERITIES = {"approve": 1, "challenge": 2, "review": 3, "decline": 4}


def _ocsf(entry: Entry, told: _Told, withheld: str) -> str:
    """Return the entry as an event of the Open Cybersecurity Schema Framework.

    A decision is a Detection Finding (2004), what people do Entity Management (3004), the rest a
    Base Event (0). What OCSF has no field for stands under `unmapped`.
    """
    header, actor, severity = entry.header, "", 1
    kind = f'"{header.type}"'
    if header.type == "decision":
        severity = _SEVERITIES.get(told.outcome, 0)
        what = f'"finding_info":{{"title":"decision","uid":"{header.entry}"}},'
        activity = '"activity_id":1,"category_uid":2,"class_uid":2004,"type_uid":200401,'
    elif header.type == "event":
        what = f'"activity_name":{kind},'
        activity = '"activity_id":99,"category_uid":0,"class_uid":0,"type_uid":99,'
    else:
        what = f'"activity_name":{kind},"entity":{{"name":{kind},"uid":"{header.entry}"}},'
        activity = '"activity_id":99,"category_uid":3,"class_uid":3004,"type_uid":300499,'
        if told.actor:
            actor = f'"actor":{{"user":{{"uid":{json.dumps(told.actor)}}}}},'
    unmapped = {
        "outcome": told.outcome,
        "reasons": told.reasons,
        "rules": told.rules,
        "score": told.score,
    }
    return (
        f'{{{activity}{actor}{what}"message":{kind},"metadata":{{"log_name":"{header.log}",'
        f'"product":{{"name":"Touchstone","vendor_name":"Touchstone"}},"sequence":{entry.idx},'
        f'"uid":"{header.entry}","version":"{OCSF_VERSION}"}},"severity_id":{severity},'
        f'"time":{seconds_of(header.time)}000,"unmapped":{json.dumps(unmapped)[:-1]},'
        f'"withheld":{{{withheld}}}}}}}\n'
    )
