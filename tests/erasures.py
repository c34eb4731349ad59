"""The proof that erasing works: many persons, some erased, nothing of theirs left, all else intact.

Used short by `tests/promises` and long by `tests/soak/erasure.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from service.ledger.tree.stored import StoredTree
from service.ledger.tree.verifying import verify_inclusion
from service.ledger.verify import verify_log
from tests.events import event
from tests.keeping import checkpointed
from tests.rights import PURPOSE, Desks, rows, valkey_dump
from tests.running import Here

AT_ONCE = 32
SHARED_DEVICES = 50
_ENTRIES = """
SELECT e.entry_id, e.header, e.core, e.staff, e.subject, e.event_key, e.body_hash, s.key_id
FROM ledger_entry e LEFT JOIN entry_subject s ON s.entry_id = e.entry_id
WHERE e.type IN ('decision', 'event')
"""
_OPEN_COLUMNS = "concat_ws(' ', type, encode(header, 'escape'), event_key, body_hash)"
_TABLES = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


class Person(NamedTuple):
    """A person, with the ids of their events and decisions."""

    identifiers: Mapping[str, str]
    events: list[str]
    decisions: list[str]

    @property
    def device(self) -> str:
        """The device of a household or a shop's counter: others use it, too."""
        return f"shared-{hash(self.identifiers['user']) % SHARED_DEVICES}"


class Figures(NamedTuple):
    """What the proof looked at; everything must be 0 but the first four."""

    persons: int
    erased: int
    entries_erased: int
    entries_intact: int
    readable: int
    found: int
    left_in_valkey: int
    left_in_tables: int
    changed: int
    proofs_failed: int


async def make_persons(here: Here, count: int, seed: int = 1) -> list[Person]:
    """Send one to three events of each person."""
    chance = random.Random(seed)
    persons = [
        Person(
            {"user": f"person-{n}", "email": f"person{n}@example.com", "phone": f"+86138{n:08}"},
            [],
            [],
        )
        for n in range(count)
    ]
    sending = [person for person in persons for _ in range(chance.randint(1, 3))]
    for at in range(0, len(sending), AT_ONCE):
        await asyncio.gather(*(_send(here, person) for person in sending[at : at + AT_ONCE]))
    return persons


async def _send(here: Here, person: Person) -> None:
    said = person.identifiers
    user = {"id": said["user"], "email": said["email"], "phone": said["phone"]}
    sent = event("coupon_redemption", user=user, device={"id": person.device})
    answer = await here.client.score(sent)
    assert answer.status == 200, answer.content
    person.events.append(sent["event_id"])
    person.decisions.append(answer.json["decision_id"])


async def erase_and_look(
    here: Here,
    desks: Desks,
    persons: Sequence[Person],
    erased: Sequence[Person],
    signer_dir: Path,
    said: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Erase some persons beside the traffic of the others, and look everywhere for them."""
    settings = here.settings
    dsn, log = str(settings.postgres.url), settings.ledger.log_name
    await _label_and_list(here, erased[:20])
    await checkpointed(dsn, signer_dir, log)
    before = {row["entry_id"]: tuple(row) for row in await rows(settings, _ENTRIES)}
    tags = [tag for person in erased for tag in tags_of(here, person)]
    assert _hits(valkey_dump(settings), tags), "the harness sees nothing in the velocity store"
    assert await _in_tables(dsn, tags[:5]), "the harness sees nothing in the database"
    others = [person for person in persons if person not in erased]
    stop = asyncio.Event()

    async def traffic() -> None:
        while not stop.is_set():
            await _send(here, random.choice(others))
            await asyncio.sleep(0.02)

    beside = asyncio.create_task(traffic())
    try:
        for at in range(0, len(erased), 100):
            part = erased[at : at + 100]
            await desks.erase(*(person.identifiers for person in part))
            said(f"{at + len(part)} of {len(erased)} are erased")
    finally:
        stop.set()
        await beside
    await checkpointed(dsn, signer_dir, log)
    return await _look(here, desks, persons, erased, before)


async def _label_and_list(here: Here, persons: Sequence[Person]) -> None:
    labels = [{"event_id": one.events[0], "source": "confirmed_abuse"} for one in persons]
    assert (await here.client.score({"labels": labels}, "/v1/labels")).status == 200
    body = {"name": "proof", "purpose": "watch", "description": "for the proof"}
    assert (await here.client.score(body, "/v1/lists")).status == 201
    entries = [{"kind": "email", "value": one.identifiers["email"]} for one in persons]
    listed = {"entries": entries, "reason": "for the proof"}
    assert (await here.client.score(listed, "/v1/lists/proof/entries")).status == 200


async def _look(
    here: Here,
    desks: Desks,
    persons: Sequence[Person],
    erased: Sequence[Person],
    before: Mapping[bytes, tuple[Any, ...]],
) -> Figures:
    settings = here.settings
    dsn = str(settings.postgres.url)
    gone = {bytes.fromhex(one) for person in erased for one in person.decisions}
    after = {row["entry_id"]: tuple(row) for row in await rows(settings, _ENTRIES)}
    changed = 0
    for entry_id, row in before.items():
        # entry_id, header, core, staff stay; of an erased person the rest is gone.
        expected = (*row[:4], None, None, None, None) if entry_id in gone else row
        changed += after.get(entry_id) != expected
    tags = [tag for person in erased for tag in tags_of(here, person)]
    return Figures(
        persons=len(persons),
        erased=len(erased),
        entries_erased=len(gone),
        entries_intact=len(before) - len(gone),
        readable=await _readable(here, desks, persons, gone),
        found=sum([await _found(here, desks, person) for person in erased[:50]]),
        left_in_valkey=_hits(valkey_dump(settings), tags),
        left_in_tables=len(await _in_tables(dsn, tags)),
        changed=changed,
        proofs_failed=await _proofs_failed(dsn, gone),
    )


async def _readable(here: Here, desks: Desks, persons: Sequence[Person], gone: set[bytes]) -> int:
    """Count decisions of erased persons that can be read, and those of others that cannot."""
    wrong = 0
    for person in persons:
        for decision in person.decisions[:1]:
            answer = await here.client.get(f"/v1/decisions/{decision}")
            expected = 410 if bytes.fromhex(decision) in gone else 200
            wrong += answer.status != expected
    for entry_id in list(gone)[:20]:
        body = {"purpose": PURPOSE}
        path = f"/v1/audit/entries/{entry_id.hex()}/reveal"
        answer = await desks.asks.score(body, path)
        wrong += answer.status == 200 and bool(answer.json.get("subject"))
    return wrong


async def _found(here: Here, desks: Desks, person: Person) -> int:
    """Count what search, access request, labels and lists still have of a person."""
    found = 0
    for kind, value in (*person.identifiers.items(), ("event", person.events[0])):
        body = {"kind": kind, "value": value, "purpose": PURPOSE}
        answer = await desks.asks.score(body, "/v1/audit/search")
        found += answer.status != 200 or len(answer.json["entries"])
    held = (await desks.held(person.identifiers)).json
    found += sum(len(held[name]) for name in ("entries", "labels", "lists", "counters"))
    asked = {"entries": [{"kind": "email", "value": person.identifiers["email"]}]}
    [listed] = (await here.client.score(asked, "/v1/lists/test")).json
    return found + len(listed["entries"])


def tags_of(here: Here, person: Person) -> list[str]:
    """Return every keyed tag that leads to a person: of identifiers and events."""
    tagger, said = here.runtime.brain.tagger, person.identifiers
    return [
        tagger.tag("user", said["user"]),
        tagger.tag("email", said["email"]),
        tagger.tag("phone", said["phone"].lstrip("+")),
        *(tagger.tag("event", one) for one in person.events),
    ]


def _hits(dump: Mapping[bytes, bytes], tags: Sequence[str]) -> int:
    text = b"\n".join(part for pair in dump.items() for part in pair)
    return sum(tag.encode() in text for tag in tags)


async def _in_tables(dsn: str, tags: Sequence[str]) -> list[tuple[str, str]]:
    """Return table and tag wherever a tag stands in a table, as text or as bytes."""
    connection = await asyncpg.connect(dsn)
    found = []
    try:
        for row in await connection.fetch(_TABLES):
            table = row["relname"]
            # Sealed blocks are a hundred times the rest, and compared to the byte elsewhere.
            what = _OPEN_COLUMNS if table == "ledger_entry" else "t::text"
            text = await connection.fetchval(
                f"SELECT string_agg({what}, ' ') FROM {table} AS t"  # noqa: S608 - from pg_class
            )
            found += [
                (table, tag)
                for tag in (tags if text else ())
                if tag in text or tag.encode().hex() in text
            ]
    finally:
        await connection.close()
    return found


async def _proofs_failed(dsn: str, gone: set[bytes]) -> int:
    """Count erased entries that are not proven to be in the tree, and what verify finds."""
    report = await verify_log(dsn)
    failed = sum(one.kind in ("invalid", "gap") for one in report.findings)
    connection = await asyncpg.connect(dsn)
    try:
        tree = StoredTree(connection)
        size = await tree.size()
        root = await tree.root(size)
        leaves = await connection.fetch(
            "SELECT entry_id, idx, hash FROM ledger_leaf WHERE entry_id = ANY($1::bytea[])",
            list(gone),
        )
        failed += len(gone) - len(leaves)
        for leaf in leaves:
            path = await tree.inclusion(leaf["idx"], size)
            verify_inclusion(leaf["hash"], leaf["idx"], size, path, root)
    finally:
        await connection.close()
    return failed
