"""Is this package of a Touchstone ledger genuine and complete? One file, nobody is asked.

`python3 verify.py PACKAGE.tar --key VKEY|FILE [--since FILE] [--witness VKEY] [--language zh]`
needs Python 3.11 and `cryptography`. Exit: 0 proven, 2 invalid, 3 gap, 4 incomplete, 5 untrusted
key, 64 could not run. Invariant: nothing counts as proven unless every byte was accounted for.
"""

# ruff: noqa: UP014 -- tuples on few lines: the file has 500 at most
import argparse
import hashlib
import hmac
import json
import re
import sys
import tarfile
from binascii import a2b_base64, b2a_base64
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

try:
    from datetime import UTC, datetime

    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:
    sys.stderr.write(f"{error}. Needed 需要: Python 3.11, pip install cryptography (Debian: python3-cryptography)\n")  # noqa: E501  # fmt: skip
    sys.exit(64)

FORMAT, PART_ENTRIES, TAR_END = "touchstone export 1", 100_000, bytes(1024)
BLOCKS, REASONS = ("core", "staff", "subject"), ("role", "not_requested", "filter")
REASONS_LOST = ("retention", "key_missing", "erased", "restricted")  # the last two: subject only
FIRST_MEMBERS = ("README.en.md", "README.zh.md", "verify.py", "export.json")
LAST_MEMBERS = ("manifest.json", "manifest.note")
TOLD = "log export_id purpose requested_by approved_by role blocks filter created_at".split()  # noqa: SIM905
CSV_HEAD = b"index,time,type,entry,writer,seq,outcome,score,reasons,rules,degraded,actor,core,staff,subject,rules_version,bundle_version\r\n"  # noqa: E501 -- one line of a file
GAP, INCOMPLETE, UNTRUSTED, USAGE, CHUNK, MOST_LINE = 3, 4, 5, 64, 1 << 18, 1 << 26
TEXTS = r"""0|PROVEN: everything under +|已证明：以上标有 + 的各项
2|INVALID: {} (README: Findings)|无效：{}（见 README“问题代码”）
3|GAP: {} (README: Findings)|缺口：{}（见 README“问题代码”）
4|INCOMPLETE: {} (README: Findings)|不完整：{}（见 README“问题代码”）
5|UNTRUSTED KEY: {} (README: Findings)|密钥不受信任：{}（见 README“问题代码”）
withheld|- withheld {} ({}): {} blocks|- 未披露 {}（{}）：{} 块
held|+ The entries from number {first} up to, not including, {last} are here, each as it was signed: none changed, removed, reordered or left out.\n+ Every block shown is the one recorded with its entry; JSON lines, CSV and OCSF say the same.|+ 日志中编号从 {first} 起、{last} 之前的条目均在此，与签名时一致：无改动、删除、换序或遗漏。\n+ 所披露的每一块都是随其条目记录的原件；JSON lines、CSV 与 OCSF 内容相同。
since|+ The log of your checkpoint ({} entries) is the beginning of this one.|+ 您所持检查点（{} 条）对应的日志是本日志的开头。
open|? Not proven: what happened before it was recorded, and entries before number {first} or from {last} on.\n? Not proven: why blocks are withheld, who asked and approved, numbers of writers before {first}: the exporter says so.\n? Not proven: the Parquet files (only that the manifest names them), and that nobody was shown another log, unless a witness cosigned.|? 未证明：记录之前发生的事，以及编号 {first} 之前和从 {last} 起的条目。\n? 未证明：未披露的原因、申请人与批准人、编号 {first} 之前各写入者的序号：均为导出方陈述。\n? 未证明：Parquet 文件的内容（清单仅列其哈希）；若无见证人联署，也未证明他人未看到另一份日志。
"""  # noqa: E501 -- a text a line


class Invalid(Exception):
    """The package is not what it claims to be: the code of a text, and what fills it."""


# `blocks`: SHA-256 (hex) of sealed bytes; `claims`: SHA-256 of the bytes from time to writer.
Header = NamedTuple("Header", [("entry", str), ("log", str), ("seq", int), ("time", str),
    ("type", str), ("versions", Mapping[str, str]), ("writer", str), ("blocks", dict[str, str]),
    ("claims", bytes)])  # fmt: skip
Entry = NamedTuple("Entry", [("idx", int), ("exact", bytes), ("header", Header),
    ("opened", dict[str, bytes]), ("withheld", dict[str, str])])  # fmt: skip
Opened = NamedTuple("Opened", [("content", bytes), ("value", dict[str, Any])])


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
    return bytes(-size % 512)


def part_members(number: int) -> tuple[str, str, str, str, str]:
    """Return a part's members in order; every part but the last has `PART_ENTRIES` entries."""
    entries = f"entries-{number:05d}"
    jsonl, csv, parquet = (f"views/{entries}.{end}" for end in ("jsonl", "csv", "parquet"))
    return f"{entries}.txt", jsonl, csv, f"views/ocsf-{number:05d}.jsonl", parquet


def opened_line(block: str, secret: bytes, sealed: bytes) -> bytes:
    """Return the line of an entries part that discloses a block (`seal.block_secret`)."""
    encoded = [b2a_base64(one, newline=False) for one in (secret, sealed)]
    return b"%b opened %b %b\n" % (block.encode(), *encoded)


def withheld_line(block: str, reason: str) -> bytes:
    return f"{block} withheld {reason}\n".encode()


_SHA, _KEY = "[0-9a-f]{64}", "[a-z0-9][a-z0-9/-]{0,63}"
_HEADER = re.compile(
    rf'\{{"blocks":\{{(?:"core":\{{"key":"{_KEY}","sha256":"({_SHA})"\}})?'
    rf'(?:(?(1),)"staff":\{{"key":"{_KEY}","sha256":"({_SHA})"\}})?'
    rf'(?:(?(1),|(?(2),))"subject":\{{"sha256":"({_SHA})"\}})?\}},"entry":"([0-9a-f]{{32}})",'
    r'"log":"([a-z0-9][a-z0-9._/-]{0,63})","seq":([1-9][0-9]{0,18})'
    r'(,"time":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)","type":'
    r'"([a-z][a-z0-9_.]{0,31})","v":1,"versions":(\{[^{}]*\}),"writer":")([0-9a-f]{32})"\}'
)
_VERSION = re.compile(rf'"([a-z][a-z0-9_]{{0,31}})":"({_SHA})"')


def parse_header(exact: bytes) -> Header:
    """Parse the exact bytes of a header; raises `Invalid` or ValueError unless of version 1."""
    if (found := _HEADER.fullmatch(exact.decode("latin-1"))) is None:
        raise Invalid("header")
    *digests, entry, log, seq, tail, time, kind, named, writer = found.groups()
    (versions, claims), _ = _claimed(tail, named), seconds_of(time)
    blocks = {block: digest for block, digest in zip(BLOCKS, digests, strict=True) if digest}
    return Header(entry, log, int(seq), time, kind, versions, writer, blocks, claims)


@lru_cache(maxsize=1024)
def _claimed(tail: str, named: str) -> tuple[Mapping[str, str], bytes]:
    versions = dict(_VERSION.findall(named))
    if named.encode() != canonical(versions):
        raise Invalid("header")
    return versions, hashlib.sha256(tail.encode()).digest()


@lru_cache(maxsize=1024)
def seconds_of(time: str) -> int:
    """Return a header's time as seconds since 1970; raises ValueError when no calendar has it."""
    return int(datetime.fromisoformat(time).timestamp())


def open_block(header: Header, block: str, secret: bytes, sealed: bytes) -> Opened:
    """Open a disclosed block in its place; raises `Invalid` unless it is whole (`seal.py`)."""
    commitment = hmac.digest(secret, b"touchstone block commitment v1\x01", "sha256")
    key = hmac.digest(secret, b"touchstone block subkey v1\x01", "sha256")
    place = f"{header.log}|".encode() + bytes.fromhex(header.entry) + f"|{block}".encode()
    try:
        plain = AESGCM(key).decrypt(sealed[32:44], sealed[44:], place)
        # Format, then event key, body hash and claims, each after a length byte, then the content.
        at = (body := 2 + plain[1]) + 2 + plain[body]
        claims, content = plain[at : at + plain[at - 1]], plain[at + plain[at - 1] :]
        value = json.loads(content.decode())
    except (InvalidTag, ValueError, IndexError, RecursionError):
        raise Invalid("block", block, header.entry) from None
    # Without its commitment a block could be made to open to two contents (`seal.py`).
    is_named = hashlib.sha256(sealed).hexdigest() == header.blocks[block] and len(secret) == 32
    is_line = type(value) is dict and b"\n" not in content and b"\r" not in content
    is_claimed = plain[0] == 1 and (block != "core" or claims == header.claims)
    if not (is_named and is_line and is_claimed) or commitment != sealed[:32]:
        raise Invalid("block", block, header.entry)
    return Opened(content, value)


_encode = json.JSONEncoder(separators=(",", ":")).encode
_encode_withheld = lru_cache(1024)(lambda *items: _encode(dict(items)).encode())
_SEVERITIES = {"approve": 1, "challenge": 2, "review": 3, "decline": 4}
_FORMULA = re.compile(r"([=+\-@\uff1d\uff0b\uff0d\uff20](?<![\w ].))")
_OCSF = '"product":{"name":"Touchstone","vendor_name":"Touchstone"},"version":"1.5.0"'


def views(entry: Entry, values: Mapping[str, dict[str, Any]]) -> tuple[bytes, bytes, bytes]:
    """Return an entry's JSON line, CSV row (after `CSV_HEAD`, never a formula) and OCSF event."""
    idx, exact, header, opened, withheld = entry
    uid, kind, answer = header.entry, header.type, values.get("core", {}).get("answer")
    told = answer if isinstance(answer, dict) else {}
    outcome, who = "".join(_texts([told.get("outcome")])), values.get("staff", {}).get("actor")
    reasons, rules = _texts(told.get("reasons"), "code"), _texts(told.get("rule_hits"), "rule_id")
    score = told.get("score") if type(told.get("score")) is float else None
    lists = ([outcome], reasons, rules, _texts(told.get("degraded")), _texts([who]))
    cells = [_FORMULA.sub(r"'\1", " ".join(one).strip().replace('"', '""')) for one in lists]
    cells += ["opened" if block in opened else withheld.get(block, "") for block in BLOCKS]
    csv = f'{idx},{header.time},{kind},{uid},{header.writer},{header.seq},"{cells[0]}",'
    csv += ("" if score is None else repr(score)) + ',"' + '","'.join(cells[1:])
    csv += f'",{header.versions.get("rule_set", "")},{header.versions.get("bundle", "")}\r\n'
    told = {"outcome": outcome, "reasons": reasons, "rules": rules, "score": score, "actor": who}
    # OCSF: a decision is a Detection Finding, what people do Entity Management, else a Base Event.
    number, activity, severity = 3004, 99, 1
    what = f'"entity":{{"name":"{kind}","uid":"{uid}"}}'
    if kind == "decision":
        number, activity, severity = 2004, 1, _SEVERITIES.get(outcome, 0)
        what = f'"finding_info":{{"uid":"{uid}"}}'
    elif kind == "event":
        number, what = 0, '"activity_name":"event"'
    ocsf = f'{{"class_uid":{number},"category_uid":{number // 1000},"activity_id":{activity},'
    ocsf += f'{what},"message":"{kind}","metadata":{{"log_name":"{header.log}",{_OCSF},"sequence":'
    ocsf += f'{idx},"uid":"{uid}"}},"severity_id":{severity},"time":{seconds_of(header.time)}000,'
    ocsf += f'"type_uid":{number * 100 + activity},"unmapped":{_encode(told)}}}\n'
    line = b'{"index":%d,"header":%b,"core":%b,"staff":%b,"subject":%b,"withheld":%b}\n'
    contents = [opened.get(block, b"null") for block in BLOCKS]
    jsonl = line % (idx, exact, *contents, _encode_withheld(*withheld.items()))
    return jsonl, csv.encode(errors="replace"), ocsf.encode()


def _texts(found: object, field: str | None = None) -> list[str]:
    items = found if isinstance(found, list) else []
    items = [item.get(field) for item in items if isinstance(item, dict)] if field else items
    return [item for item in items if isinstance(item, str)]


Keys = dict[tuple[str, bytes], tuple[int, bytes]]  # name, key id -> type (4: timed), public key
Report = tuple[int, list[str]]  # exit code and lines
Peaks = list[tuple[int, bytes]]  # level and root of the subtrees that a tree is made of


def _b64(text: str, *sizes: int) -> bytes:
    data = a2b_base64(text, strict_mode=True)
    if b2a_base64(data, newline=False) != text.encode() or len(data) not in (sizes or (len(data),)):
        raise ValueError("another spelling, or another size")
    return data


def read_vkey(text: str) -> Keys:
    """Return a verifier key, for signatures without and with a time; raises ValueError."""
    if text.count("+") < 2:
        raise ValueError(f"not a verifier key, NAME+ID+KEY: {text}")
    name, key_id, encoded = text.strip().split("+", 2)
    raw = _b64(encoded, 33)
    named = {kind: f"{name}\n".encode() + bytes([kind]) + raw[1:] for kind in (1, 4)}
    found = {hashlib.sha256(data).digest()[:4]: kind for kind, data in named.items()}
    if found.get(bytes.fromhex(key_id)) != raw[0]:
        raise ValueError(f"not a verifier key, its ID is of another one: {text}")
    return {(name, known): (kind, raw[1:]) for known, kind in found.items()}


def signatures(note: str, keys: Keys) -> tuple[str, dict[str, int]]:
    """Return a note's text, and by whom of these keys it is signed, with the latest time or 0."""
    [(text, tail)] = re.findall("\\A(?s:(.*\n))\n((?:\u2014 [^ \n]+ [^ \n]+\n)+)\\Z", note)
    found = dict[str, int]()
    for name, encoded in re.findall("\u2014 (.+) (.+)\n", tail):
        kind, public = keys.get((name, (raw := _b64(encoded))[:4]), (0, b""))
        if kind:  # lines of other keys mean nothing, as the specification has it
            time = int.from_bytes(raw[4:12], "big") if kind == 4 else 0
            signed = f"cosignature/v1\ntime {time}\n{text}" if kind == 4 else text
            public_key = Ed25519PublicKey.from_public_bytes(public)
            public_key.verify(raw[12 if kind == 4 else 4 :], signed.encode())
            found[name] = max(time, found.get(name, 0))
    return text, found


def read_checkpoint(note: str, keys: Keys) -> tuple[str, int, bytes, int]:
    """Return origin, size, root and time of a checkpoint that the log's key has signed."""
    text, signed = signatures(note, keys)
    origin, size, root, end = text.split("\n")
    if origin not in signed:
        raise Invalid("untrusted")
    if end or size != str(int(size)) or not 0 <= int(size) < 1 << 63:
        raise ValueError("not a checkpoint")
    return origin, int(size), _b64(root, 32), signed[origin]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def grow(peaks: Peaks, level: int, node: bytes) -> None:
    while peaks and peaks[-1][0] == level:
        node, level = _node(peaks.pop()[1], node), level + 1
    peaks.append((level, node))


def root_of(peaks: Peaks) -> bytes:
    root = peaks[-1][1] if peaks else hashlib.sha256(b"").digest()
    for _, node in reversed(peaks[:-1]):
        root = _node(node, root)
    return root


def two_roots(m: int, n: int, path: Iterator[bytes], old: bytes | None) -> tuple[bytes, bytes]:
    """Return the roots of m and of n leaves that a consistency proof (RFC 6962) leads to."""
    if m == n:
        node = old or next(path)
        return node, node
    half = 1 << ((n - 1).bit_length() - 1)
    if m <= half:
        first, second = two_roots(m, half, path, old)
        return first, _node(second, next(path))
    (first, second), left = two_roots(m - half, n - half, path, None), next(path)
    return _node(left, first), _node(left, second)


class Verifier:
    """One verification. `run` raises `Invalid`; `flaws` are what else stands against a proof."""

    def __init__(self, file: BinaryIO, keys: Keys, witnesses: Keys, since: str | None) -> None:
        self.file, self.keys, self.witnesses, self.since = file, keys, witnesses, since
        self.flaws: Counter[tuple[int, str]] = Counter()
        self.opened, self.withheld = Counter[str](), dict[str, Counter[str]]()
        self.members, self.times, self.newest = list[dict[str, Any]](), list[str](), ""

    def run(self) -> None:
        for name in FIRST_MEMBERS[:3]:
            deque(self._chunks(name), 0)
        self.export = export = self._json("export.json")
        first, at = export["first"], export["last"]
        self._checkpoint(export, first, at)
        levels = [level for level in range(63, -1, -1) if first >> level & 1]
        self.peaks = list(zip(levels, [_b64(node, 32) for node in export["left"]], strict=True))
        self.roots[first] = root_of(self.peaks)
        for number, start in enumerate(range(first, at, PART_ENTRIES)):
            self._part(part_members(number), start, min(start + PART_ENTRIES, at))
        for node in [_b64(node, 32) for node in export["right"]]:
            level = min((self.size - at).bit_length(), (at & -at or 1 << 63).bit_length()) - 1
            grow(self.peaks, level, node)
            at += 1 << level
        if at != self.size or root_of(self.peaks) != self.root:
            raise Invalid("root")
        self._since()
        self._manifest(export, list(self.members))
        if self._exactly(len(TAR_END)) != TAR_END or self.file.read(1):
            raise Invalid("framing", "-")

    def _exactly(self, size: int) -> bytes:
        if len(data := self.file.read(size)) != size:
            raise Invalid("short")
        return data

    def _chunks(self, name: str) -> Iterator[bytes]:
        head, digest = self._exactly(512), hashlib.sha256()
        left = size = int(head[124:135], 8)
        if head != member_header(name, size):
            raise Invalid("framing", name)
        while left:
            digest.update(chunk := self._exactly(min(left, CHUNK)))
            left -= len(chunk)
            yield chunk
        if self._exactly(-size % 512).strip(b"\0"):
            raise Invalid("framing", name)
        self.members.append({"name": name, "sha256": digest.hexdigest(), "size": size})

    def _lines(self, name: str) -> Iterator[bytes]:
        rest = b""
        for chunk in self._chunks(name):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > MOST_LINE:
                raise Invalid("framing", name)
        yield rest

    def _json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(data := b"\n".join(self._lines(name)))
        if canonical(found) != data or found["format"] != FORMAT:
            raise Invalid("framing", name)
        return found

    def _checkpoint(self, export: dict[str, Any], first: int, last: int) -> None:
        for note in export["key_chain"]:
            text, signed = signatures(note, self.keys)
            kind, _, vkey, _ = text.split("\n")
            if signed and kind == "touchstone signer key v1":
                self.keys, self.newest = self.keys | read_vkey(vkey), vkey
        origin, size, root, self.signed = read_checkpoint(export["checkpoint"], self.keys)
        is_named = re.fullmatch(f"{re.escape(export['log'])}(/[0-9]+)?", origin) is not None
        is_range = type(first) is type(last) is int and 0 <= first <= last <= size
        is_begun = origin == export["origin"] and (first > 0 or not export["writers"])
        if not (is_named and is_range and is_begun):
            raise Invalid("export")
        self.seqs, self.roots = export["writers"], {0: root_of([]), size: root}
        for older in export["earlier"]:
            at, claimed = older["size"], _b64(older["root"], 32)
            path = iter([_b64(node, 32) for node in older["path"]])
            if 0 < at < size:
                same = claimed if at & (at - 1) == 0 else None
                if two_roots(at, size, path, same) != (claimed, root) or next(path, None):
                    raise Invalid("earlier", at)
                self.roots[at] = claimed
        _, self.size, self.root = self.by, self.kept, self.old = origin, size, root
        if self.since is not None:
            self.by, self.kept, self.old, _ = read_checkpoint(self.since, self.keys)
        self.cosigned = signatures(export["checkpoint"], self.witnesses)[1]
        for name in {name for name, _ in self.witnesses} - self.cosigned.keys():
            self.flaws[INCOMPLETE, f"witness {name}"] += 1

    def _since(self) -> None:
        known = self.roots.get(self.kept)
        if known is not None and known != self.old and self.by == self.export["origin"]:
            raise Invalid("fork", self.kept)
        what = "lost" if known else "older" if self.kept > self.size else "unconnected"
        self.flaws[GAP if known else INCOMPLETE, f"{what} {self.kept}"] += known != self.old

    def _part(self, names: tuple[str, ...], start: int, end: int) -> None:
        lines, sha256, log = self._lines(names[0]), hashlib.sha256, self.export["log"]
        digests = [sha256(), sha256(CSV_HEAD), sha256()]
        for idx in range(start, end):
            header = parse_header(exact := next(lines))
            grow(self.peaks, 0, sha256(b"\0" + exact).digest())
            if idx + 1 == self.kept:
                self.roots[self.kept] = root_of(self.peaks)
            expected, self.times[1:] = self.seqs.get(header.writer, 0) + 1, [header.time]
            if header.log != log or header.seq < expected:
                raise Invalid("order", header.entry)
            if header.seq > expected:
                self.flaws[GAP, f"hole {header.writer} {expected}-{header.seq - 1}"] += 1
            self.seqs[header.writer] = header.seq
            entry = Entry(idx, exact, header, {}, {})
            values = {block: self._block(entry, block, next(lines)) for block in header.blocks}
            for digest, line in zip(digests, views(entry, values), strict=True):
                digest.update(line)
        if list(lines) != [b""]:
            raise Invalid("framing", names[0])
        for name, *derived in zip(names[1:], [*digests, None], strict=True):
            deque(self._chunks(name), 0)
            if any(one and one.hexdigest() != self.members[-1]["sha256"] for one in derived):
                raise Invalid("view", name)

    def _block(self, entry: Entry, block: str, line: bytes) -> dict[str, Any]:
        (name, state, *rest), types = line.split(b" "), self.export["filter"]
        is_asked = block in self.export["blocks"] and (types is None or entry.header.type in types)
        if (name, state) == (block.encode(), b"opened") and is_asked:
            secret, sealed = [a2b_base64(one, strict_mode=True) for one in rest]
            found = open_block(entry.header, block, secret, sealed)
            entry.opened[block] = found.content
            self.opened[block] += 1
            return found.value
        reason, lost = rest[0].decode(), REASONS_LOST[: 4 if block == "subject" else 2]
        is_reason = reason in (lost if is_asked else REASONS)
        if line + b"\n" != withheld_line(block, reason) or not is_reason:
            raise Invalid("line", block, entry.header.entry)
        entry.withheld[block] = reason
        self.withheld.setdefault(block, Counter())[reason] += 1
        self.flaws[INCOMPLETE, f"key_missing {block}"] += reason == "key_missing"
        return {}

    def _manifest(self, export: dict[str, Any], members: list[dict[str, Any]]) -> None:
        counts = {"entries": export["last"] - export["first"], "opened": self.opened}
        expected = {"counts": counts | {"withheld": self.withheld}, "members": members}
        expected |= {"format": FORMAT, "export_id": export["export_id"]}
        is_same, digest = self._json(LAST_MEMBERS[0]) == expected, self.members[-1]["sha256"]
        text, signed = signatures(b"".join(self._chunks(LAST_MEMBERS[1])).decode(), self.keys)
        said = f"touchstone export manifest v1\n{export['export_id']}\n{digest}\n"
        if export["origin"] not in signed:
            raise Invalid("untrusted")
        if text != said or not is_same:
            raise Invalid("manifest")


def check(file: BinaryIO, keys: Keys, since: str | None, witnesses: Keys, zh: bool) -> Report:
    """Verify a package; return the exit code and what was found."""
    one, lines, stamp = Verifier(file, keys, witnesses, since), list[str](), datetime.fromtimestamp
    texts = {code: said[zh] for code, *said in (line.split("|") for line in TEXTS.splitlines())}
    try:
        one.run()
        code, found = min((flaw for flaw, n in one.flaws.items() if n), default=(0, ""))
        facts = {name: one.export.get(name) for name in TOLD}
        facts |= {f"witness {name}": stamp(time, UTC) for name, time in one.cosigned.items()}
        facts |= {"checkpoint": f"{one.size}, {stamp(one.signed, UTC)}", "key": one.newest or None}
        facts["recorded"], facts["opened"] = " .. ".join(one.times), dict(one.opened)
        lines += [f"  {name}: {value}" for name, value in facts.items() if value is not None]
        for block, reasons in sorted(one.withheld.items()):
            lines += [texts["withheld"].format(block, *item) for item in sorted(reasons.items())]
        lines += [f"! {flaw} ({n})" for (_, flaw), n in one.flaws.most_common(100) if n]
        lines += [texts["since"].format(one.kept)] if not code and since is not None else []
        for text in (texts["held"], texts["open"])[bool(code) :]:
            lines += text.format(**one.export).split(r"\n")
    except Exception as error:  # noqa: BLE001 -- whatever trips the verifier is no package
        found = " ".join(map(str, error.args if isinstance(error, Invalid) else ("malformed",)))
        code = {"untrusted": UNTRUSTED, "short": INCOMPLETE}.get(found, 2)
    lines.append(texts[str(code)].format(found))
    return code, ["".join(c if c.isprintable() else "?" for c in line) for line in lines]


def read_keys(given: Sequence[str]) -> Keys:
    """Return verifier keys, as they are or in files with one a line; raises ValueError."""
    texts = [x if "+" in x and not Path(x).is_file() else Path(x).read_text() for x in given]
    return {name: key for one in " ".join(texts).split() for name, key in read_vkey(one).items()}


def checkpoint(path: str) -> str:
    """Return the checkpoint that a file is, or an `export.json` holds; raises ValueError."""
    text = Path(path).read_text("utf-8")
    text = json.loads(text).get("checkpoint", "") if text.startswith("{") else text
    signatures(text, {})
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify an export of a Touchstone ledger.")
    parser.add_argument("package", type=Path)
    parser.add_argument("--key", action="append", required=True, help="key of the log, or a file")
    parser.add_argument("--since", type=checkpoint, help="a checkpoint or export.json kept")
    parser.add_argument("--witness", action="append", default=[], help="key of an outside witness")
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    try:
        given = parser.parse_args(arguments)
        keys, others = read_keys(given.key), read_keys(given.witness)
        with given.package.open("rb") as file:
            code, lines = check(file, keys, given.since, others, given.language == "zh")
    except (OSError, ValueError) as error:
        code, lines = USAGE, [f"{type(error).__name__}: {error}"]
    except SystemExit as stop:
        return USAGE if stop.code else 0
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    return code


if __name__ == "__main__":
    sys.exit(main())
