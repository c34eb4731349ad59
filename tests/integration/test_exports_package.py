"""What is in a package that the builder makes from a log, and what the verifier says of it."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.audit.package import verify
from service.audit.package.build import Package
from service.audit.package.disclosing import RecordDamaged, SealedEarly
from service.audit.package.told import RangeBroken
from service.ledger.keys import Keyring
from service.ledger.seal import block_secret
from service.ledger.writer import LedgerWriter
from service.rights.periods import Periods
from tests.integration.ledger_cases import draft
from tests.keeping import checkpointed
from tests.packages import built_package, package_request
from tests.people import give_roles

pytest_plugins = ["tests.integration.ledger_fixtures"]

EVERYTHING = ("core", "staff", "subject")
CORE = b'{"answer":{"outcome":"decline","score":0.75,"degraded":["=1+1"]}}'


@dataclass
class Log:
    """A signed log of 24 decisions about three persons and six actions of staff."""

    dsn: str
    ring: Keyring
    base: Path
    connection: Any
    size: int
    restricted: str

    async def build(self, **more: Any) -> tuple[Package, dict[str, bytes]]:
        """Build a package of all of it; return it and its members."""
        request = package_request("test", **{"last": self.size, **more})
        package = await built_package(
            self.dsn, self.ring, request, self.package, self.base / "signer"
        )
        return package, self.members()

    @property
    def package(self) -> Path:
        return self.base / "package.tar"

    def members(self) -> dict[str, bytes]:
        with tarfile.open(self.package) as tar:
            return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]

    async def vkey(self) -> str:
        return str(await self.connection.fetchval("SELECT vkey FROM ledger_signer_key"))

    async def proven(self, *arguments: str) -> int:
        """Return the exit code of the verifier."""
        return verify.main([str(self.package), "--key", await self.vkey(), *arguments])


@pytest.fixture
async def log(
    writer: LedgerWriter, ledger_dsn: str, ring: Keyring, connection: Any, tmp_path: Path
) -> Log:
    people = ("user:ana", "user:bo", f"user:{uuid4()}")  # restrictions stay in the database
    for number in range(24):
        person = people[number % 3]
        await writer.append(draft(f"event-{number}", core=CORE, person=person), timeout_s=5)
    for _ in range(6):
        entry = draft(core=b'{"action":"rules.push"}', subject=None, staff=b'{"actor":"ana"}')
        await writer.append(entry._replace(type="rules.push"), timeout_s=5)
    await checkpointed(ledger_dsn, tmp_path / "signer", "test")
    return Log(ledger_dsn, ring, tmp_path, connection, 30, people[2])


def lines(members: dict[str, bytes], view: str = "views/entries-00000.jsonl") -> list[Any]:
    return [json.loads(line) for line in members[view].splitlines()]


async def test_a_package_is_proven_whatever_it_discloses(log: Log) -> None:
    """Every choice of blocks, types and range gives a package that the verifier proves."""
    choices: Sequence[dict[str, Any]] = (
        {"blocks": ()},
        {"blocks": EVERYTHING},
        {"blocks": ("core", "staff"), "role": "auditor"},
        {"blocks": EVERYTHING, "types": ("rules.push",)},
        {"blocks": ("subject",), "first": 7, "last": 19, "earlier": (3, 20, 30)},
        {"first": 30, "last": 30},
    )
    for choice in choices:
        await log.build(**choice)
        assert await log.proven() == 0, choice


async def test_what_is_withheld_has_its_reason(log: Log) -> None:
    """Role, request, filter, erasure, restriction, retention and a missing key are told apart."""
    await log.connection.execute("DELETE FROM subject_key WHERE subject_tag = 'user:bo'")
    await restrict(log.connection, log.restricted)
    cases: Sequence[tuple[dict[str, Any], dict[str, dict[str, int]]]] = (
        ({}, {"subject": {"not_requested": 24}, "staff": {"not_requested": 6}}),
        (
            {"role": "auditor", "blocks": ("core", "staff")},
            {"subject": {"role": 24}},
        ),
        (
            {"blocks": EVERYTHING},
            {"subject": {"erased": 8, "restricted": 8}},
        ),
        (
            {"blocks": EVERYTHING, "types": ("rules.push",)},
            {"core": {"filter": 24}, "subject": {"filter": 24}},
        ),
        (
            {"blocks": EVERYTHING, "periods": Periods(0, 9999, 9999, 9999)},
            {"subject": {"retention": 8, "restricted": 8}},
        ),
    )
    for choice, withheld in cases:
        package, members = await log.build(**choice)
        assert package.withheld == withheld
        assert json.loads(members["manifest.json"])["counts"]["withheld"] == withheld
        said = Counter(
            (block, reason) for line in lines(members) for block, reason in line["withheld"].items()
        )
        assert said == {(b, r): n for b, reasons in withheld.items() for r, n in reasons.items()}
        assert await log.proven() == 0, choice
    await log.connection.execute("DELETE FROM ledger_key WHERE name LIKE 'core/%'")
    package, _ = await log.build()
    assert package.withheld["core"] == {"key_missing": 30}


async def test_no_view_shows_what_is_withheld(log: Log) -> None:
    """The bytes of a block that is withheld, sealed or open, are in no member of the package."""
    _, members = await log.build(blocks=())
    rows = await log.connection.fetch("SELECT core, subject, staff FROM ledger_entry")
    sealed = [base64.b64encode(block) for row in rows for block in row if block is not None]
    whole = b"".join(
        content for name, content in members.items() if name.startswith(("views/", "entries-"))
    )
    assert not any(block in whole for block in [b"decline", b"user_logins_1h", *sealed])
    _, members = await log.build(blocks=("core",))
    whole = b"".join(
        content for name, content in members.items() if name.startswith(("views/", "entries-"))
    )
    assert b"decline" in whole
    assert b"user_logins_1h" not in whole


async def test_the_views_say_the_same(log: Log) -> None:
    """JSON lines, CSV, OCSF and Parquet have every entry once, in order, with what was opened."""
    _, members = await log.build(blocks=EVERYTHING)
    told = lines(members)
    rows = list(csv.DictReader(io.StringIO(members["views/entries-00000.csv"].decode())))
    table = pq.read_table(io.BytesIO(members["views/entries-00000.parquet"])).to_pylist()
    events = lines(members, "views/ocsf-00000.jsonl")
    assert [line["index"] for line in told] == list(range(30))
    assert [row["idx"] for row in table] == [int(row["index"]) for row in rows] == list(range(30))
    assert [event["metadata"]["uid"] for event in events] == [
        line["header"]["entry"] for line in told
    ]
    for line, row, found in zip(told, rows, table, strict=True):
        for block in EVERYTHING:
            assert (line[block] is None) == (found[block] is None)
            if line[block] is not None:
                assert json.loads(found[block]) == line[block]
        assert row["outcome"] == (found["outcome"] or "")
    assert sum(event["class_uid"] == 2004 for event in events) == 24  # detection findings
    cells = [cell for row in rows for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝")) for cell in cells)


async def test_a_damaged_record_is_not_packed(log: Log) -> None:
    """A header that was changed, an entry that is gone, a leaf that is another: each is said."""
    other = (
        "UPDATE ledger_entry SET header = convert_to(replace(convert_from(header, 'UTF8'), "
        "'decision', 'decisiom'), 'UTF8')"
    )
    changes = (
        (other, RecordDamaged, ()),
        ("UPDATE ledger_entry SET header = header || ' '", RecordDamaged, ()),
        ("UPDATE ledger_entry SET core = core || 'x'", RecordDamaged, ("core",)),
        ("UPDATE ledger_leaf SET hash = sha256('x')", RangeBroken, ()),
        ("DELETE FROM ledger_entry", RecordDamaged, ()),
    )
    entry_id = await log.connection.fetchval("SELECT entry_id FROM ledger_leaf WHERE idx = 11")
    for change, error, blocks in changes:
        copies = ("ledger_entry", "ledger_leaf")
        for name in copies:
            await log.connection.execute(f"CREATE TABLE kept_{name} AS TABLE {name}")
        await log.connection.execute(f"{change} WHERE entry_id = $1", entry_id)
        with pytest.raises(error) as caught:
            await log.build(blocks=blocks)
        assert not {"(", "'"} & set(str(caught.value)), "a sentence for people"
        for name in copies:
            await log.connection.execute(
                f"TRUNCATE {name}; INSERT INTO {name} TABLE kept_{name}; DROP TABLE kept_{name}"
            )
    await log.build()


async def test_entries_of_early_releases_are_named(
    log: Log, writer: LedgerWriter, ledger_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks without a commitment prove nothing outside: it is said which entry it is."""
    monkeypatch.setattr("service.ledger.row.seal", sealed_early)
    await writer.append(draft("early", core=CORE, person="user:ana"), timeout_s=5)
    await checkpointed(ledger_dsn, log.base / "signer", "test")
    with pytest.raises(SealedEarly, match="Entry 30 of the tree was sealed by an early release"):
        await log.build(last=31)
    for way_out in ({"last": 30}, {"last": 31, "types": ("rules.push",)}):
        await log.build(**way_out)
        assert await log.proven() == 0


def sealed_early(key: bytes, log: str, entry_id: bytes, block: str, plaintext: bytes) -> bytes:
    """Seal a block as releases before the commitment did."""
    nonce = os.urandom(12)
    place = log.encode() + b"|" + entry_id + b"|" + block.encode()
    return nonce + AESGCM(block_secret(key, entry_id, block)).encrypt(nonce, plaintext, place)


def shown(members: dict[str, bytes]) -> bytes:
    """Return everything in a package that is about entries."""
    names = [name for name in members if name.startswith(("entries-", "views/"))]
    return b"".join(members[name] for name in names)


async def restrict(connection: Any, tag: str) -> None:
    """Restrict a person, as a request for it does."""
    await give_roles(connection, "cora", "compliance")
    await connection.execute(
        "INSERT INTO rights_request (kind, tags, requested_by, entry_id) "
        "VALUES ('restrict', $1, 'cora', $2)",
        [tag],
        bytes(16),
    )
