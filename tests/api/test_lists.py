"""Lists as an analyst meets them: entries in, rules that ask, and nothing read back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from rules.listed import Listed
from service.api_key import KeyHash
from service.embedded import EmbeddedServers
from service.lists.history import ListsAt
from service.secrets_files import read_keys
from tests.api.test_endpoints import assert_problem
from tests.deploying import pack_of, set_of
from tests.events import event
from tests.http_client import Answer, Client
from tests.people import person_key
from tests.running import Here, entries, service_here, settings_on

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOM = 60
PATIENCE_SECONDS = 10  # tests share their machine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service with one rule, which asks for a list, and room for 60 entries."""
    base = tmp_path_factory.mktemp("lists")
    when = 'in_list("stolen", "device") || in_list("stolen", "email")'
    set_of(pack_of("device-stolen", when=when)).write(base / "rules")
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(
            servers,
            base,
            patient_ms=10_000,
            lists={"max_entries": ROOM},
            rules_dir=base / "rules",
        )
        async with service_here(settings) as here:
            yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ana(here: Here) -> AsyncIterator[Client]:
    """An analyst, who has made the list."""
    connection = await asyncpg.connect(here.settings.postgres.url)
    key = await person_key(connection, KeyHash(read_keys(here.settings).tag), "ana", "analyst")
    await connection.close()
    async with Client(key, transport=here.transport) as client:
        made = await client.score(
            {"name": "stolen", "purpose": "deny", "description": "Reported as stolen"}, "/v1/lists"
        )
        assert made.status == 201, made.content
        yield client


async def add(client: Client, *rows: dict[str, Any], **more: Any) -> Answer:
    body = {"entries": list(rows), "reason": "reported stolen", **more}
    return await client.score(body, "/v1/lists/stolen/entries")


async def add_raw(client: Client, row: dict[str, Any]) -> Answer:
    """Add with what no client of ours would send."""
    content = json.dumps({"entries": [row], "reason": "reported stolen"}).encode()
    headers = {"Content-Type": "application/json"}
    return await client.post("/v1/lists/stolen/entries", content, headers)


async def remove(client: Client, *rows: dict[str, Any]) -> Answer:
    body = {"entries": list(rows), "reason": "found again"}
    return await client.score(body, "/v1/lists/stolen/remove")


async def import_rows(client: Client, text: str, query: str = "") -> Answer:
    path = f"/v1/lists/stolen/import?{query}"
    return await client.post(path, text.encode(), {"Content-Type": "text/csv"})


async def hits(here: Here, **parts: Any) -> bool:
    """Whether a login with these parts is seen to be of somebody on the list."""
    answer = await here.client.score(event("login", **parts))
    assert answer.status == 200, answer.content
    return [hit["status"] for hit in answer.json["rule_hits"]] == ["hit"]


async def soon(here: Here, expected: bool, **parts: Any) -> None:
    """Wait until logins are judged as expected."""
    started = time.monotonic()
    while await hits(here, **parts) is not expected:
        assert time.monotonic() - started < PATIENCE_SECONDS
        await asyncio.sleep(0.01)


async def test_a_rule_sees_an_entry_and_its_removal(here: Here, ana: Client) -> None:
    """Added, the device is on the list; removed, it is not; the record keeps what was seen."""
    device = {"kind": "device", "value": "dev-stolen"}
    assert not await hits(here, device={"id": "dev-stolen"})
    assert (await add(ana, device)).json == {
        "list": "stolen", "added": 1, "replaced": 0, "repeated": 0,
    }  # fmt: skip
    await soon(here, True, device={"id": "dev-stolen"})
    assert not await hits(here, device={"id": "another"})
    assert not await hits(here)
    recorded = [entry for entry in await entries(here.settings) if entry.type == "decision"]
    facts = [(entry.subject or {})["facts"]["list.stolen.device"] for entry in recorded]
    assert {True, False} == set(facts)
    assert (await remove(ana, device)).json == {"list": "stolen", "removed": 1, "absent": 0}
    await soon(here, False, device={"id": "dev-stolen"})
    assert (await remove(ana, device)).json == {"list": "stolen", "removed": 0, "absent": 1}


async def test_an_entry_ends_at_its_time(here: Here, ana: Client) -> None:
    """What expires counts until its time and, a moment after it, no more."""
    ends = datetime.now(UTC) + timedelta(seconds=4)
    row = {"kind": "device", "value": "dev-lent", "expires_at": ends.isoformat()}
    assert (await add(ana, row)).status == 200
    await soon(here, True, device={"id": "dev-lent"})
    left = (ends - datetime.now(UTC)).total_seconds()
    await asyncio.sleep(max(0, left - 0.2))
    if datetime.now(UTC) < ends - timedelta(milliseconds=100):
        assert await hits(here, device={"id": "dev-lent"})
    await asyncio.sleep(max(0, (ends - datetime.now(UTC)).total_seconds()))
    assert not await hits(here, device={"id": "dev-lent"})


async def test_an_entry_written_anew_is_on_the_list_throughout(here: Here, ana: Client) -> None:
    """No decision between the old entry and the one that replaces it misses both."""
    row = {"kind": "device", "value": "dev-again"}
    await add(ana, row)
    await soon(here, True, device={"id": "dev-again"})
    is_over = asyncio.Event()

    async def judged() -> set[bool]:
        found = set()
        while not is_over.is_set():
            found.add(await hits(here, device={"id": "dev-again"}))
            await asyncio.sleep(0)
        return found

    judging = asyncio.create_task(judged())
    for number in range(10):
        answer = await add(ana, {**row, "reason": f"case {number}"})
        assert answer.json["replaced"] == 1
    await asyncio.sleep(0.3)
    is_over.set()
    assert await judging == {True}


async def test_one_mailbox_is_one_entity_however_it_is_written(here: Here, ana: Client) -> None:
    """A value is normalised as in events before it is tagged, and tested the same way."""
    await add(ana, {"kind": "email", "value": "L.i+shop@GoogleMail.com"})
    await soon(here, True, user={"id": "u", "email": "li@gmail.com"})
    body = {"entries": [{"kind": "email", "value": "li+other@gmail.com"}]}
    [found] = (await ana.score(body, "/v1/lists/test")).json
    assert [entry["list"] for entry in found["entries"]] == ["stolen"]
    by_tag = {"entries": [{"kind": "email", "tag": found["tag"]}]}
    assert (await ana.score(by_tag, "/v1/lists/test")).json == [found]
    other = {"entries": [{"kind": "email", "value": "somebody@gmail.com"}]}
    assert (await ana.score(other, "/v1/lists/test")).json[0]["entries"] == []


async def test_every_problem_is_named_and_nothing_is_added(here: Here, ana: Client) -> None:
    """All or nothing: one bad row of an import leaves the list as it was, and is not repeated."""
    text = (
        "kind,value,reason,expires_at\r\n"
        "device,dev-good,fine,\r\n"
        "divice,x,fine,\r\n"
        "ip,not-an-ip-4711,fine,\r\n"
        "email,li4711@example.com,write to li4711@example.com,\r\n"
        "device,dev-2,fine,2020-01-01T00:00:00Z\r\n"
        "payment_instrument,4111 1111 1111 1111,fine,\r\n"
    )
    problem = assert_problem(await import_rows(ana, text), "rows_invalid")
    assert [entry["pointer"] for entry in problem["problems"]] == [
        "line 3: kind", "line 4: value", "line 5: reason", "line 6: expires_at", "line 7: value",
    ]  # fmt: skip
    assert "Did you mean `device`" in problem["problems"][0]["detail"]
    assert "4711" not in str(problem)
    assert not await hits(here, device={"id": "dev-good"})
    answer = await add(ana, {"kind": "device"}, {"kind": "device", "value": "a", "tag": "b" * 22})
    problem = assert_problem(answer, "rows_invalid")
    assert [entry["pointer"] for entry in problem["problems"]] == [
        "/entries/0/value", "/entries/1/value",
    ]  # fmt: skip


async def test_no_body_breaks_the_service(here: Here, ana: Client) -> None:
    """Texts that no database can hold are refused like any other."""
    value: Any
    for value in ("\x00", "dev\ud800", {"line1": "\ud800"}, {"line1": 2**70}, {}, [], 7, ""):
        answer = await add_raw(ana, {"kind": "shipping_address", "value": value})
        assert answer.status == 422, (value, answer.content)
    for value in ("\ud800", {"a": 1}):
        answer = await add_raw(ana, {"kind": "device", "value": value})
        assert answer.status == 422, (value, answer.content)
    for reason in ("\x00", "a\nb", "=1+1", " ", "\ud800", "x" * 301, "an@mail.example"):
        answer = await add_raw(ana, {"kind": "device", "value": "d", "reason": reason})
        assert answer.status == 422, (reason, answer.content)
    body = {"name": "x", "purpose": "deny", "description": "a\x00b"}
    assert (await ana.score(body, "/v1/lists")).status == 422
    for query in ("kind=%00", "kind=device&limit=0", "state=nosuch", "after=-1"):
        assert (await ana.get(f"/v1/lists/stolen/entries?{query}")).status == 422


async def test_what_is_exported_can_be_imported_and_holds_no_value(here: Here, ana: Client) -> None:
    """Tags and metadata go out; imported again they are the same entries."""
    text = (
        "value;reason\r\n"
        "dev-a;Fall 12\r\ndev-b;退货\r\ndev-a;Fall 12\r\n"
    )  # fmt: skip
    answer = await import_rows(ana, "\ufeff" + text, "kind=device&owner=fraud-team")
    assert answer.json == {"list": "stolen", "added": 2, "replaced": 0, "repeated": 1}
    exported = (await ana.get("/v1/lists/stolen/export")).content.decode()
    assert exported.splitlines()[0] == "kind,tag,reason,owner,expires_at,added_by,added_at"
    assert "dev-a" not in exported
    rows = [line for line in exported.splitlines() if "fraud-team" in line]
    assert len(rows) == 2
    assert any("退货" in row for row in rows)
    again = await import_rows(ana, exported)
    assert again.json["added"] == 0
    assert again.json["replaced"] == len(exported.splitlines()) - 1


async def test_lists_have_a_bounded_size(here: Here, ana: Client) -> None:
    """An import that would not fit into memory is refused whole."""
    rows = "".join(f"device,room-{number}\r\n" for number in range(ROOM + 1))
    answer = await import_rows(ana, "kind,value\r\n" + rows, "reason=many")
    problem = assert_problem(answer, "lists_full")
    assert f"MAX_ENTRIES is {ROOM}" in problem["detail"]
    assert not await hits(here, device={"id": "room-1"})


async def test_lists_are_for_those_who_may(here: Here, ana: Client) -> None:
    """A key without the scope neither reads nor writes; what is not there is told."""
    async with Client(await here.new_key("score"), transport=here.transport) as client:
        assert_problem(await client.get("/v1/lists"), "missing_scope")
        assert_problem(await add(client, {"kind": "device", "value": "d"}), "missing_scope")
    assert_problem(await ana.get("/v1/lists/nosuch/entries"), "unknown_list")
    assert_problem(await ana.get("/v1/lists/nosuch/export"), "unknown_list")
    body = {"entries": [{"kind": "device", "value": "x"}], "reason": "fine"}
    assert_problem(await ana.score(body, "/v1/lists/nosuch/entries"), "unknown_list")
    again = {"name": "stolen", "purpose": "deny", "description": "again"}
    assert_problem(await ana.score(again, "/v1/lists"), "list_exists")
    for name in ("Bad", "a b", "1a", ""):
        assert_problem(await ana.score({**again, "name": name}, "/v1/lists"), "invalid_request")


async def test_every_change_is_recorded_without_the_identifier(here: Here, ana: Client) -> None:
    """Who did what to which list is in the ledger; no value and no tag of a customer is."""
    row = {"kind": "phone", "value": "+8613800138000"}
    await add(ana, row)
    [found] = (await ana.score({"entries": [row]}, "/v1/lists/test")).json
    await remove(ana, row)
    recorded = [entry for entry in await entries(here.settings) if entry.type.startswith("lists.")]
    assert {entry.type for entry in recorded} >= {"lists.create", "lists.add", "lists.remove"}
    last = recorded[-1].core
    assert last is not None
    assert last["list"] == "stolen"
    assert last["removed"] == 1
    assert len(last["entries"]) == 64
    text = str([entry.core for entry in recorded])
    assert "13800138000" not in text
    assert found["tag"] not in text
    page = (await ana.get("/v1/lists/stolen/entries?state=removed&kind=phone")).json
    assert [entry["removal"] for entry in page["entries"]] == ["found again"]
    assert page["entries"][0]["removed_by"] == page["entries"][0]["added_by"] == "ana"


async def test_the_past_is_judged_by_the_lists_of_the_past(here: Here, ana: Client) -> None:
    """A backtest finds an entity on a list exactly while it was on it."""
    listed = Listed("stolen", "device")
    row = {"kind": "device", "value": "dev-past"}
    times = [time.time_ns() // 1_000_000]
    for step in (add(ana, row), remove(ana, row), add(ana, row, reason="again")):
        await asyncio.sleep(0.02)
        assert (await step).status == 200
        await asyncio.sleep(0.02)
        times.append(time.time_ns() // 1_000_000)
    [found] = (await ana.score({"entries": [row]}, "/v1/lists/test")).json
    connection = await asyncpg.connect(here.settings.postgres.url)
    at = await ListsAt.load(connection, [listed, Listed("nosuch", "device")])
    await connection.close()
    tags = {"device": found["tag"]}
    seen = [at.facts([listed], tags, at_ms)[listed.fact] for at_ms in times]
    assert seen == [False, True, False, True]
    assert at.facts([Listed("nosuch", "device")], tags, times[1]) == {"list.nosuch.device": False}
    assert at.facts([listed], {}, times[1]) == {listed.fact: False}
