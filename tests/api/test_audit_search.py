"""Looking into the record: found by equality, shown for a purpose, and itself recorded."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from service.api_key import KeyHash
from service.audit.blind_index import BlindIndex, month_of
from service.embedded import EmbeddedServers
from service.secrets_files import read_keys
from tests.deploying import approved, deploy, pack_of, set_of
from tests.events import event
from tests.http_client import Answer, Client
from tests.people import person_key
from tests.running import Here, service_here, settings_on

pytestmark = pytest.mark.asyncio(loop_scope="module")
PURPOSE = "complaint 17 of the customer"
RULE = "all-are-looked-at"
RULES = set_of(pack_of(RULE, outcome="review"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(
    servers: EmbeddedServers,
    tmp_path_factory: pytest.TempPathFactory,
    module_postgres_url: str,
) -> AsyncIterator[Here]:
    """A service of its own that reviews every checkout."""
    base = tmp_path_factory.mktemp("search")
    RULES.write(base / "rules")
    settings = settings_on(servers, base, patient_ms=10_000, rules_dir=base / "rules")
    postgres = settings.postgres.model_copy(update={"url": module_postgres_url})
    async with service_here(settings.model_copy(update={"postgres": postgres})) as here:
        yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(here: Here) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(here.settings.postgres.url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cora(here: Here, database: Any) -> AsyncIterator[Client]:
    """A compliance officer."""
    key = await person_key(database, KeyHash(read_keys(here.settings).tag), "cora", "compliance")
    async with Client(key, transport=here.transport) as client:
        yield client


async def decided(here: Here, **parts: Any) -> str:
    """Let an event be decided; return its entry."""
    answer = await here.client.score(event("checkout", **parts))
    assert answer.status == 200, answer.content
    return str(answer.json["decision_id"])


async def search(client: Client, **body: Any) -> Answer:
    return await client.score({"purpose": PURPOSE, **body}, "/v1/audit/search")


async def found(client: Client, **body: Any) -> list[str]:
    answer = await search(client, **body)
    assert answer.status == 200, answer.content
    return [entry["entry_id"] for entry in answer.json["entries"]]


async def look(client: Client, entry: str, what: str, **body: Any) -> Answer:
    return await client.score({"purpose": PURPOSE, **body}, f"/v1/audit/entries/{entry}/{what}")


async def revealed(client: Client, entry: str) -> dict[str, Any]:
    answer = await look(client, entry, "reveal")
    assert answer.status == 200, answer.content
    shown: dict[str, Any] = answer.json
    return shown


async def test_search_finds_by_equality(here: Here, cora: Client) -> None:
    """By user, device, event or tag: exactly the entries of that value, newest first."""
    device = {"id": "dev-shared"}
    one = await decided(here, user={"id": "u-one", "email": "li@example.com"}, device=device)
    two = await decided(here, user={"id": "u-two"}, device=device, event_id="order-2")
    assert await found(cora, kind="user", value="u-one") == [one]
    assert await found(cora, kind="email", value=" LI@Example.com".strip()) == [one]
    assert set(await found(cora, kind="device", value="dev-shared")) == {one, two}
    assert await found(cora, kind="event", value="order-2") == [two]
    assert await found(cora, kind="user", value="u-on") == []
    tag = here.runtime.brain.tagger.tag("user", "u-two")
    assert await found(cora, kind="user", tag=tag) == [two]
    both = {"kind": "device", "value": "dev-shared"}
    assert len(await found(cora, **both, limit=1)) == 1
    assert (await search(cora, **both, limit=1)).json["is_cut"]
    assert await found(cora, **both, outcomes=["decline"]) == []
    assert set(await found(cora, **both, outcomes=["review"], event_types=["checkout"])) == {
        one,
        two,
    }
    assert await found(cora, **both, types=["event"]) == []
    assert await found(cora, **both, until=datetime(2026, 1, 1, tzinfo=UTC).isoformat()) == []


async def test_answer_has_header_and_core_only(here: Here, cora: Client) -> None:
    """What is found comes with its exact header and the facts of the decision, not the person's."""
    entry = await decided(here, user={"id": "u-header"})
    (shown,) = (await search(cora, kind="user", value="u-header")).json["entries"]
    assert json.loads(shown["header"])["entry"] == entry == shown["entry_id"]
    assert shown["core"]["answer"]["outcome"] == "review"
    assert shown["states"]["subject"] == "sealed"
    assert shown.keys() == {"entry_id", "type", "time", "header", "states", "core"}


async def test_chance_matches_are_dropped(here: Here, cora: Client, database: Any) -> None:
    """An entry that shares a term with another value is not found by that value."""
    mine = await decided(here, user={"id": "u-mine"})
    other = await decided(here, user={"id": "u-other"})
    index = BlindIndex(read_keys(here.settings).tag)
    tag = here.runtime.brain.tagger.tag("user", "u-mine")
    (term,) = index.terms({"user": tag}, month_of(datetime.now(UTC)))
    changed = await database.execute(
        "UPDATE entry_subject SET terms = array_append(terms, $2) WHERE entry_id = $1",
        bytes.fromhex(other), term,
    )  # fmt: skip
    assert changed == "UPDATE 1"
    assert await found(cora, kind="user", value="u-mine") == [mine]


async def test_looking_is_recorded_without_the_value(here: Here, cora: Client) -> None:
    """Searches, reveals and explanations are entries with who and why, and without the value."""
    user = "u-recorded-9731"
    entry = await decided(here, user={"id": user})
    assert await found(cora, kind="user", value=user) == [entry]
    await revealed(cora, entry)
    assert (await look(cora, entry, "explain", view="shop")).status == 200
    tag = here.runtime.brain.tagger.tag("user", user)
    for kind in ("audit.search", "audit.reveal", "audit.explain"):
        latest = (await found(cora, types=[kind], limit=1))[0]
        shown = await revealed(cora, latest)
        assert shown["staff"]["actor"] == "cora"
        assert shown["staff"]["purpose"] == PURPOSE
        text = json.dumps(shown)
        assert user not in text
        assert tag not in text
    assert shown["core"]["entry"] == entry
    assert shown["core"]["view"] == "shop"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "user", "value": "u-1", "purpose": ""},
        {"kind": "user", "value": "u-named", "purpose": "what did u-named do"},
        {"kind": "user"},
        {"value": "u-1"},
        {"kind": "merchant", "value": "m-1"},
        {"kind": "ip", "value": "no address"},
        {"kind": "event", "value": ""},
        {"kind": "user", "tag": "short"},
        {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"since": "1990-02-01T00:00:00Z"},
    ],
)
async def test_bad_searches_are_refused(cora: Client, body: dict[str, Any]) -> None:
    """A search without a purpose, or that makes no sense, is refused; no value is repeated."""
    answer = await search(cora, **body)
    assert answer.status == 422, answer.content
    for value in ("u-named", "no address"):
        assert value not in answer.content.decode()


async def test_who_may_look(here: Here, database: Any) -> None:
    """An auditor searches and does not reveal; a program and others do neither."""
    entry = await decided(here, user={"id": "u-scopes"})
    hashed = KeyHash(read_keys(here.settings).tag)
    expected = {"auditor": (200, 403), "analyst": (403, 403), "compliance": (200, 200)}
    for role, (searches, reveals) in expected.items():
        key = await person_key(database, hashed, f"a-{role}", role)
        async with Client(key, transport=here.transport) as client:
            assert (await search(client, kind="user", value="u-scopes")).status == searches
            assert (await look(client, entry, "reveal")).status == reveals
            assert (await look(client, entry, "explain")).status == reveals


async def test_reveal_shows_what_was_sealed(here: Here, cora: Client) -> None:
    """All three kinds of blocks are shown; an id that is none is unknown."""
    entry = await decided(here, user={"id": "u-reveal"}, device={"id": "dev-7"})
    shown = await revealed(cora, entry)
    assert shown["subject"]["tags"].keys() >= {"user", "device"}
    assert shown["subject"]["facts"]["has_device"] is True
    assert shown["states"] == {"core": "open", "subject": "open"}
    for unknown in ("0" * 32, "zz", "0" * 30):
        assert (await look(cora, unknown, "reveal")).status == 404


async def test_restricted_and_erased_are_said(here: Here, cora: Client, database: Any) -> None:
    """Of a restricted person it is said that there is an entry and nothing more; then of an erased
    one that it is erased, and it is not found."""
    entry = await decided(here, user={"id": "u-rights"})
    user = {"kind": "user", "value": "u-rights"}
    tag = f"user:{here.runtime.brain.tagger.tag('user', 'u-rights')}"
    asked = {"identifiers": [user], "purpose": "objection 3"}
    assert (await cora.score(asked, "/v1/audit/restrictions")).status == 201
    (shown,) = (await search(cora, **user)).json["entries"]
    assert (shown["states"]["subject"], shown["core"]) == ("restricted", None)
    for what in ("reveal", "explain"):
        answer = await look(cora, entry, what)
        assert (answer.status, answer.json["code"]) == (423, "entry_restricted")
    await database.execute("DELETE FROM subject_key WHERE subject_tag = $1", tag)
    assert await found(cora, **user) == []
    for what in ("reveal", "explain"):
        answer = await look(cora, entry, what)
        assert (answer.status, answer.json["code"]) == (410, "entry_erased")


async def test_a_damaged_entry_hides_no_other(here: Here, cora: Client, database: Any) -> None:
    """An entry whose header was overwritten is left out, and what is beside it is found."""
    damaged = await decided(here, user={"id": "u-damaged"})
    sound = await decided(here, user={"id": "u-damaged"})
    await database.execute(
        "UPDATE ledger_entry SET header = 'x' WHERE entry_id = $1", bytes.fromhex(damaged)
    )
    assert await found(cora, kind="user", value="u-damaged") == [sound]
    assert (await look(cora, damaged, "reveal")).status == 404


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_person_is_told_in_plain_words(here: Here, cora: Client, language: str) -> None:
    """What, how, why, which data, what would change it, a human: no rule, number or feature."""
    entry = await decided(here, user={"id": "u-plain"}, device={"id": "dev-1"})
    answer = await look(cora, entry, "explain", view="person", language=language)
    assert answer.status == 200, answer.content
    sections = answer.json["sections"]
    assert len(sections) == 8
    text = " ".join(line for section in sections for line in section["lines"])
    assert ("人工" if language == "zh" else "person") in text
    told = text.replace(entry, "")
    assert RULE not in told
    assert "COUPON_SHARED_DEVICE" not in told
    assert not re.search(r"[a-z]+_[a-z]+|\d\.\d", told)
    shown = await revealed(cora, entry)
    (reason,) = shown["core"]["answer"]["reasons"]
    assert reason["text"][language] in text


async def test_shop_and_authority_see_the_logic(here: Here, cora: Client, database: Any) -> None:
    """The shop sees the rules; the authority also their conditions, facts, versions and that it is
    computed again, also of a rule set that does not run any more."""
    entry = await decided(here, user={"id": "u-logic"})
    shop = (await look(cora, entry, "explain", view="shop")).content.decode()
    assert RULE in shop
    assert "It says which set decides" in shop
    authority = (await look(cora, entry, "explain", view="authority")).content.decode()
    for part in ("the same to the bit", "when true", "has_user = True", RULES.version):
        assert part in authority, part
    other = set_of(pack_of("another", outcome="challenge"))
    await approved(database, other)
    await deploy(database, "activate", other)
    await until_live(here, other.version)
    later = (await look(cora, entry, "explain", view="authority")).content.decode()
    assert "when true" in later
    assert "ledger replay --entry" in later
    chinese = await look(cora, entry, "explain", view="authority", language="zh")
    assert "规则集" in chinese.content.decode()
    await deploy(database, "rollback", RULES)  # other tests come in any order
    await until_live(here, RULES.version)


async def until_live(here: Here, version: str) -> None:
    async with asyncio.timeout(30):
        while here.runtime.brain.live.version != version:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
