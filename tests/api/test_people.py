"""People, roles and keys through the API: who may, who decides, and what is on the record of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from service.api.problems import PROBLEMS
from service.api_key import KeyHash, create_key
from service.embedded import EmbeddedServers
from service.people.limits import EVERYTHING, Limits, limits_of
from service.secrets_files import read_keys
from tests.events import event
from tests.http_client import Answer, Client
from tests.people import person_key
from tests.recorded_actions import recorded_actions
from tests.running import Here, entries, service_here, settings_on

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service in this process on servers of its own, with the admins ana, bo and cy."""
    base = tmp_path_factory.mktemp("people")
    with EmbeddedServers.start(base / "servers") as servers:
        async with service_here(settings_on(servers, base, patient_ms=10_000)) as here:
            yield here


async def key_of(here: Here, person: str, *roles: str, limits: Limits = EVERYTHING) -> str:
    """Give a person these roles and return a key of theirs that the service knows."""
    connection = await asyncpg.connect(here.settings.postgres.url)
    try:
        hashed = KeyHash(read_keys(here.settings).tag)
        return await person_key(connection, hashed, person, *roles, limits=limits)
    finally:
        await connection.close()


async def program_key(here: Here, limits: Limits, *scopes: str) -> str:
    """Return a key of a program that is limited."""
    connection = await asyncpg.connect(here.settings.postgres.url)
    try:
        hashed = KeyHash(read_keys(here.settings).tag)
        return (await create_key(connection, hashed, "shop", scopes, limits=limits))[1]
    finally:
        await connection.close()


async def call(here: Here, key: str | None, path: str, body: object = None) -> Answer:
    """Post a body, or get where there is none."""
    async with Client(key, transport=here.transport) as client:
        if body is None:
            return await client.get(path)
        return await client.post(
            path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )


def refused(answer: Answer, code: str) -> Any:
    """Check that the answer is this problem, and return it."""
    assert answer.status == PROBLEMS[code].status, answer.content
    assert answer.json["code"] == code
    return answer.json


async def until_scopes(here: Here, key: str, scopes: set[str]) -> None:
    """Wait until the key allows exactly this."""
    deadline = time.monotonic() + 10
    while set((await call(here, key, "/v1/me")).json["scopes"]) != scopes:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def ask(here: Here, key: str, person: str, *roles: str, **more: Any) -> Answer:
    """Ask for roles."""
    body = {"person": person, "roles": list(roles), "reason": "a test", **more}
    return await call(here, key, "/v1/role-requests", body)


async def test_from_nobody_to_analyst_and_back(here: Here) -> None:
    """Ana asks for Di, cannot approve it, Bo can; Di's key follows; all of it is on the record."""
    ana, bo = await key_of(here, "ana", "admin"), await key_of(here, "bo", "admin")
    di = await key_of(here, "di")
    refused(await call(here, di, "/v1/people"), "missing_scope")
    limits = {"event_types": ["checkout"], "regions": ["cn_east"]}
    asked = await ask(here, ana, "di", "analyst", limits=limits)
    assert (asked.status, asked.json["state"]) == (201, "open")
    approve = f"/v1/role-requests/{asked.json['id']}/approve"
    refused(await call(here, ana, approve, {}), "own_role_request")
    waiting = (await call(here, bo, "/v1/role-requests?open=true")).json
    assert [item["id"] for item in waiting] == [asked.json["id"]]
    approved = await call(here, bo, approve, {})
    assert (approved.status, approved.json["state"]) == (200, "approved"), approved.content
    refused(await call(here, bo, approve, {}), "role_request_decided")

    analyst = next(
        role for role in (await call(here, di, "/v1/roles")).json if role["name"] == "analyst"
    )
    await until_scopes(here, di, set(analyst["scopes"]))
    me = (await call(here, di, "/v1/me")).json
    assert (me["actor"], me["roles"]) == ("di", ["analyst"])
    assert me["limits"] == {**limits, "business_lines": None}
    listed = {item["id"]: item for item in (await call(here, ana, "/v1/people")).json}
    assert listed["di"]["limits"] == me["limits"]
    assert listed["di"]["keys"] == 1

    away = await ask(here, bo, "di")
    await call(here, ana, f"/v1/role-requests/{away.json['id']}/approve", {})
    await until_scopes(here, di, set())

    told = [
        action
        for action in await recorded_actions(here.settings, "roles.")
        if action.who["person"] == "di"
    ]
    assert [(action.type, action.who["actor"]) for action in told] == [
        ("roles.request", "ana"),
        ("roles.approve", "bo"),
        ("roles.request", "bo"),
        ("roles.approve", "ana"),
    ]
    assert told[1].what["roles"] == ["analyst"]
    assert told[1].what["limits"] == [["checkout"], None, ["cn_east"]]
    assert told[3].what["roles"] == []


async def test_who_is_concerned_does_not_decide(here: Here) -> None:
    """Ana cannot approve what Bo asks for her; who asked can withdraw it."""
    ana, bo = await key_of(here, "ana", "admin"), await key_of(here, "bo", "admin")
    asked = (await ask(here, bo, "ana", "admin", "approver")).json
    refused(
        await call(here, ana, f"/v1/role-requests/{asked['id']}/approve", {}), "own_role_request"
    )
    refused(
        await call(here, ana, f"/v1/role-requests/{asked['id']}/refuse", {}), "own_role_request"
    )
    taken = await call(here, bo, f"/v1/role-requests/{asked['id']}/withdraw", {})
    assert taken.json["state"] == "withdrawn"
    refused(await call(here, ana, "/v1/role-requests/99999/approve", {}), "unknown_role_request")


async def test_a_request_lapses(here: Here) -> None:
    """What was asked for on the base of roles that changed meanwhile is not approved."""
    ana, bo = await key_of(here, "ana", "admin"), await key_of(here, "bo", "admin")
    older = (await ask(here, ana, "ed", "reviewer")).json["id"]
    newer = (await ask(here, ana, "ed", "analyst")).json["id"]
    await call(here, bo, f"/v1/role-requests/{newer}/approve", {})
    refused(await call(here, bo, f"/v1/role-requests/{older}/approve", {}), "role_request_lapsed")
    states = {
        item["id"]: item["state"] for item in (await call(here, bo, "/v1/role-requests")).json
    }
    assert (states[older], states[newer]) == ("lapsed", "approved")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"roles": ["king"]}, "/roles/0"),
        ({"person": "Ana"}, "/person"),
        ({"person": "system"}, "/person"),
        ({"reason": "  "}, "/reason"),
        ({"reason": "a\0b"}, "/reason"),
        ({"limits": {"event_types": ["chekout"]}}, "/limits/event_types/0"),
        ({"limits": {"regions": []}}, "/limits/regions"),
        ({"limits": {"countries": ["CN"]}}, "/limits/countries"),
        ({"approved_by": "bo"}, "/approved_by"),
    ],
)
async def test_bad_requests(here: Here, change: dict[str, Any], pointer: str) -> None:
    """What is wrong is named, and nothing of it is repeated."""
    body = {"person": "fay", "roles": ["analyst"], "reason": "a test", **change}
    problem = refused(
        await call(here, await key_of(here, "ana", "admin"), "/v1/role-requests", body),
        "invalid_request",
    )
    assert pointer in {item["pointer"] for item in problem["problems"]}


async def test_limits_of_a_program(here: Here) -> None:
    """An event outside the key's limits is refused with what is limited, and leaves no trace."""
    limits = limits_of(["checkout", "login"], ["grocery"], None)
    key = await program_key(here, limits, "score", "events:write")
    inside = event("checkout", business_line="grocery")
    before = len(await entries(here.settings))
    async with Client(key, transport=here.transport) as client:
        for path in ("/v1/score", "/v1/events"):
            problem = refused(await client.score(event("signup"), path), "outside_limits")
            assert [item["pointer"] for item in problem["problems"]] == ["/type", "/business_line"]
            books = await client.score(event("checkout", business_line="books"), path)
            assert "grocery" in refused(books, "outside_limits")["detail"]
        assert len(await entries(here.settings)) == before
        assert (await client.score(inside)).status == 200
        assert (
            await client.score(event("login", business_line="grocery"), "/v1/events")
        ).status == 202


async def test_limits_of_a_person_and_of_the_key_both_hold(here: Here) -> None:
    """A key leaves what the person's limits and its own allow, and scopes that both have."""
    hashed = KeyHash(read_keys(here.settings).tag)
    await key_of(here, "gus", "caller", limits=limits_of(["login", "signup"], None, None))
    connection = await asyncpg.connect(here.settings.postgres.url)
    try:
        key = (
            await create_key(
                connection,
                hashed,
                "narrow",
                ["score", "rules:approve"],
                person="gus",
                limits=limits_of(["signup", "checkout"], None, None),
            )
        )[1]
    finally:
        await connection.close()
    me = (await call(here, key, "/v1/me")).json
    assert me["scopes"] == ["score"]
    assert me["limits"]["event_types"] == ["signup"]
    async with Client(key, transport=here.transport) as client:
        assert (await client.score(event("signup"))).status == 200
        refused(await client.score(event("login")), "outside_limits")
        refused(await client.score(event("checkout")), "outside_limits")


async def test_an_admin_revokes_a_key(here: Here) -> None:
    """One admin is enough, the key stops by itself, and the entry names both."""
    ana = await key_of(here, "ana", "admin")
    lost = await here.new_key("score")
    key_id = lost.split("_")[1]
    assert (await call(here, lost, "/v1/me")).status == 200
    done = await call(here, ana, f"/v1/keys/{key_id}/revoke", {})
    assert (done.status, done.content) == (204, b"")
    deadline = time.monotonic() + 10
    while (await call(here, lost, "/v1/me")).status != 401:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    listed = {item["key_id"]: item for item in (await call(here, ana, "/v1/keys")).json}
    assert listed[key_id]["revoked_at"]
    assert lost.split("_")[2] not in str(listed)
    [told] = await recorded_actions(here.settings, "keys.")
    assert (told.type, told.what["key"], told.who["actor"]) == ("keys.revoke", key_id, "ana")
    refused(await call(here, ana, "/v1/keys/nokey/revoke", {}), "unknown_key")


@pytest.mark.parametrize(
    ("path", "body", "role"),
    [
        ("/v1/people", None, "analyst"),
        ("/v1/keys", None, "analyst"),
        ("/v1/role-requests", None, "approver"),
        ("/v1/role-requests", {"person": "x", "roles": [], "reason": "r"}, "compliance"),
        ("/v1/role-requests/1/approve", {}, "compliance"),
        ("/v1/role-requests/1/refuse", {}, "analyst"),
        ("/v1/role-requests/1/withdraw", {}, "caller"),
        ("/v1/keys/abc/revoke", {}, "compliance"),
    ],
)
async def test_other_roles_may_not(here: Here, path: str, body: object, role: str) -> None:
    """Without a key 401, with one of another role 403."""
    refused(await call(here, None, path, body), "missing_key")
    refused(await call(here, await key_of(here, "hal", role), path, body), "missing_scope")
