"""Rule sets over HTTP: from an idea to what decides, and back, by two people."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rules.files import RuleSetFiles
from service.embedded import EmbeddedServers
from service.people.limits import Limits
from tests.http_client import Answer, Client
from tests.rule_sets import (
    COUPONS,
    FIRST,
    LOGINS,
    ROLES,
    backtested,
    changed,
    people,
    variant,
)
from tests.running import Here, entries, service_here, settings_on

RULE = "coupon-crowded-address"


@dataclass
class Shop:
    """A service with people; `ana`, `bo`, `cy` are clients with their keys, `di` has limits."""

    here: Here
    ana: Client
    bo: Client
    cy: Client
    di: Client
    database: Any

    async def push(self, files: RuleSetFiles, who: Client | None = None, **more: Any) -> Answer:
        """Push files."""
        return await (who or self.ana).score({"files": dict(files.texts), **more}, "/v1/rule-sets")

    async def pushed(self, files: RuleSetFiles, who: Client | None = None, **more: Any) -> str:
        """Push files and return the version."""
        answer = await self.push(files, who, **more)
        assert answer.status == 201, answer.content
        return str(answer.json["rule_set"]["version"])

    async def evidence(self, version: str) -> str:
        """Store a backtest of a version against what is live."""
        catalog = await self.database.fetchval(
            "SELECT catalog FROM rule_set_check WHERE version = $1", version
        )
        return await backtested(self.database, version, catalog)

    async def approved(self, files: RuleSetFiles) -> str:
        """Bring files to an approval: Ana writes and submits, Bo approves."""
        version = await self.pushed(files)
        await self.evidence(version)
        await self.done(self.ana, version, "submit")
        await self.done(self.bo, version, "approve")
        return version

    async def act(self, who: Client, version: str, act: str, **body: Any) -> Answer:
        """Do something with a version."""
        return await who.score(body, f"/v1/rule-sets/{version}/{act}")

    async def done(self, who: Client, version: str, act: str, **body: Any) -> Any:
        """Do something with a version that must work."""
        answer = await self.act(who, version, act, **body)
        assert answer.status == 201, answer.content
        return answer.json

    async def states(self, version: str) -> list[str]:
        """Return a version's states."""
        found: list[str] = (await self.ana.get(f"/v1/rule-sets/{version}")).json["states"]
        return found


@pytest.fixture
async def shop(
    servers: EmbeddedServers, fresh_postgres_url: str, tmp_path: Path
) -> AsyncIterator[Shop]:
    """A service on an empty database, with people; only Di is limited, to logins."""
    FIRST.write(tmp_path / "rules")
    settings = settings_on(servers, tmp_path, patient_ms=5000, rules_dir=tmp_path / "rules")
    settings = settings.model_copy(
        update={"postgres": settings.postgres.model_copy(update={"url": fresh_postgres_url})}
    )
    keys = await people(
        settings,
        {**ROLES, "di": ("analyst", "approver")},
        di=Limits(event_types=frozenset(("login",))),
    )
    database = await asyncpg.connect(fresh_postgres_url)
    async with service_here(settings) as here:
        clients = {person: Client(key, transport=here.transport) for person, key in keys.items()}
        yield Shop(here, **clients, database=database)
        for client in clients.values():
            await client.__aexit__()
    await database.close()


async def test_the_whole_way_of_a_version(shop: Shop) -> None:
    """A version is pushed, checked, submitted, approved by another, live, and taken back."""
    assert (await shop.ana.get("/v1/deployments")).json[0]["live"] == FIRST.version
    pushed = (await shop.push(variant(4), note="six was too many")).json
    version = pushed["rule_set"]["version"]
    assert pushed["check"]["problems"] == []
    assert (pushed["is_new"], pushed["rule_set"]["state"]) == (True, "validated")
    [change] = pushed["difference"]["rules"]
    assert (change["id"], change["change"]) == (RULE, "changed")
    assert "+  most_accounts: {type: int, value: 4, min: 2, max: 20}" in change["diff"]

    assert (await shop.act(shop.ana, version, "submit")).json["code"] == "evidence_missing"
    await shop.evidence(version)
    submitted = await shop.done(shop.ana, version[:8], "submit", note="see the backtest")
    assert submitted["baseline"] == FIRST.version
    assert await shop.states(version) == ["submitted", "validated"]
    assert (await shop.act(shop.cy, version, "activate")).json["code"] == "approval_lapsed"
    own = await shop.act(shop.ana, version, "approve")
    assert (own.status, own.json["code"]) == (403, "own_work")
    approval = await shop.done(shop.bo, version, "approve", submission=submitted["id"])
    assert (approval["actor"], approval["submitted_by"]) == ("bo", "ana")
    assert await shop.states(version) == ["approved", "validated"]

    deployed = await shop.done(shop.ana, version, "activate", note="go")
    assert (deployed["live"], deployed["action"]) == (version, "activate")
    assert await shop.states(version) == ["live"]
    assert await shop.states(FIRST.version) == ["retired"]
    back = await shop.done(shop.cy, "previous", "rollback", note="alarms")
    assert back["live"] == FIRST.version
    assert await shop.states(version) == ["retired", "validated"]
    again = await shop.act(shop.ana, version, "activate")
    assert again.json["code"] == "approval_lapsed"
    history = (await shop.ana.get(f"/v1/rule-sets/{version}")).json["history"]
    assert [one["what"] for one in history] == [
        "pushed",
        "passed the check",
        "backtest done",
        "submitted",
        "approved",
        "live",
        "taken back",
    ]


async def test_every_action_is_an_entry(shop: Shop) -> None:
    """The ledger names each act, who did it, on which version, on what evidence."""
    version = await shop.approved(variant(4))
    assert (await shop.done(shop.ana, version, "shadow"))["shadows"] == [version]
    rollout = await shop.done(shop.ana, version, "rollout", share_percent=5)
    assert (rollout["shadows"], rollout["share_percent"]) == ([], 5)
    await shop.done(shop.ana, version, "ramp", share_percent=50)
    await shop.done(shop.bo, version, "abort", note="too many alarms")
    other = await shop.pushed(variant(5))
    await shop.done(shop.ana, other, "shadow")
    await shop.done(shop.ana, other, "unshadow")
    await shop.ana.score({"rule": RULE, "reason": "alarms"}, "/v1/rule-stops")
    await shop.bo.score({}, f"/v1/rule-stops/{RULE}/confirm")
    await shop.cy.score({}, f"/v1/rule-stops/{RULE}/lift")
    found = [one for one in await entries(shop.here.settings) if one.type.startswith("rules.")]
    assert [one.type.removeprefix("rules.") for one in found] == [
        "first",
        "push",
        "submit",
        "approve",
        "shadow",
        "rollout",
        "ramp",
        "abort",
        "push",
        "shadow",
        "unshadow",
        "stop",
        "stop_confirm",
        "stop_lift",
    ]


async def test_files_come_back_to_the_letter(shop: Shop) -> None:
    """What was pushed is what is pulled: comments, layout, Chinese text."""
    files = changed(FIRST, "# 策略\n", "# 策略 \t一\r\n\n", "policy.yaml")
    version = await shop.pushed(files)
    answer = await shop.ana.get(f"/v1/rule-sets/{version}/files")
    assert answer.json == {"version": files.version, "files": dict(files.texts)}
    assert version == files.version
    again = await shop.push(files, shop.bo)
    assert (again.json["is_new"], again.json["rule_set"]["author"]) == (False, "ana")


async def test_a_draft_may_be_wrong_and_goes_nowhere(shop: Shop) -> None:
    """A set with problems is stored with each of them, and neither watched nor submitted."""
    files = changed(FIRST, "address_distinct_users_30d >=", "address_distinct_user_30d >=", COUPONS)
    pushed = (await shop.push(files)).json
    version = pushed["rule_set"]["version"]
    assert (pushed["rule_set"]["state"], pushed["check"]["passed"]) == ("draft", False)
    assert "did you mean" in pushed["check"]["problems"][0]["text"]
    for act in ("submit", "shadow"):
        answer = await shop.act(shop.ana, version, act)
        assert (answer.status, answer.json["code"]) == (409, "evidence_missing")


async def test_files_that_make_no_set_are_refused(shop: Shop) -> None:
    """Names that mean nothing, a missing policy, NUL: refused with a place, nothing stored."""
    for texts in (
        {**FIRST.texts, "packs/../x.yaml": "x"},
        {LOGINS: FIRST.texts[LOGINS]},
        {**FIRST.texts, "policy.yaml": "a\n\0"},
        {**FIRST.texts, "policy.yaml": "\ud800"},
    ):
        answer = await shop.ana.post(
            "/v1/rule-sets",
            json.dumps({"files": texts}).encode(),
            {"Content-Type": "application/json"},
        )
        assert (answer.status, answer.json["code"]) == (422, "rule_set_invalid"), answer.content
    assert len((await shop.ana.get("/v1/rule-sets")).json) == 1


async def test_a_parameter_becomes_a_draft(shop: Shop) -> None:
    """Setting a parameter changes its characters alone; outside its bounds nothing changes."""
    body = {"rule": RULE, "parameter": "most_accounts", "value": 9}
    answer = await shop.ana.score(body, "/v1/rule-sets/live/parameters")
    assert answer.json["rule_set"]["version"] == variant(9).version
    assert answer.json["rule_set"]["note"] == "coupon-crowded-address: most_accounts = 9"
    answer = await shop.ana.score({**body, "value": 21}, "/v1/rule-sets/live/parameters")
    assert (answer.status, answer.json["code"]) == (422, "parameter_refused")
    assert "from 2 to 20" in answer.json["detail"]
    answer = await shop.ana.score({**body, "parameter": "mots"}, "/v1/rule-sets/live/parameters")
    assert answer.json["title"] == "The parameter was not set"
    assert answer.json["detail"] == f"'mots' is no parameter of {RULE}; it has most_accounts."


async def test_limits_hold_for_what_a_person_changes(shop: Shop) -> None:
    """Who is limited to logins changes no coupon rule and no policy, stops none, approves none."""
    logins = changed(FIRST, ">= 20", ">= 25", LOGINS)
    assert (await shop.push(logins, shop.di)).status == 201
    policy = changed(FIRST, "captcha", "one_time_code", "policy.yaml")
    for files in (variant(4), policy):
        answer = await shop.push(files, shop.di)
        assert (answer.status, answer.json["code"]) == (403, "outside_limits")
    version = await shop.pushed(variant(4))
    await shop.evidence(version)
    await shop.done(shop.ana, version, "submit")
    assert (await shop.act(shop.di, version, "approve")).json["code"] == "outside_limits"
    answer = await shop.di.score({"rule": RULE, "reason": "x"}, "/v1/rule-stops")
    assert answer.json["code"] == "outside_limits"
    answer = await shop.di.score({"rule": "login-many-failures", "reason": "x"}, "/v1/rule-stops")
    assert answer.json["state"] == "unconfirmed"


async def test_no_is_an_answer(shop: Shop) -> None:
    """What was rejected is not approved; it may be submitted again."""
    version = await shop.pushed(variant(4))
    await shop.evidence(version)
    first = await shop.done(shop.ana, version, "submit")
    assert (await shop.act(shop.bo, version, "reject", note="")).status == 422
    await shop.done(shop.bo, version, "reject", note="four families share our lockers")
    assert (await shop.act(shop.cy, version, "approve")).json["code"] == "wrong_state"
    await shop.done(shop.ana, version, "submit", note="lockers are left out")
    late = await shop.act(shop.cy, version, "approve", submission=first["id"])
    assert late.json["code"] == "wrong_state"
    await shop.done(shop.cy, version, "approve")


async def test_names_of_versions(shop: Shop) -> None:
    """A prefix means one version or nothing; words mean what runs and what was shipped."""
    for name, code in (
        ("abcde", 404),
        ("zzzzzzzz", 404),
        ("0" * 12, 404),
        ("live", 200),
        ("latest", 200),
    ):
        assert (await shop.ana.get(f"/v1/rule-sets/{name}")).status == code
    assert (await shop.ana.get("/v1/rule-sets/previous")).json["code"] == "wrong_state"
    shipped = await shop.ana.get("/v1/rule-sets/shipped/files")
    assert shipped.json["version"] == FIRST.version
    same = await shop.ana.get("/v1/rule-sets/live/diff?against=shipped")
    assert (same.json["rules"], same.json["files"]) == ([], [])


async def test_examples_are_shown(shop: Shop) -> None:
    """Each example of a version with what it expects and what is answered."""
    files = changed(FIRST, "user_login_failures_1h: 30", "user_login_failures_1h: 3", LOGINS)
    version = await shop.pushed(files)
    found = (await shop.ana.get(f"/v1/rule-sets/{version}/examples")).json
    assert (found["passed"], found["failed"]) == (3, 1)
    [wrong] = [one for one in found["examples"] if not one["passed"]]
    assert (wrong["rule"], wrong["expect"], wrong["answer"]) == (
        "login-many-failures",
        "hit",
        "no_hit",
    )


async def test_strangers_send_no_bodies(shop: Shop) -> None:
    """A body is read only from who has a key, and only to its limit."""
    body = b'{"files": {"policy.yaml": "' + b"x" * (9 << 20) + b'"}}'
    headers = {"Content-Type": "application/json"}
    answer = await shop.ana.post("/v1/rule-sets", body, headers)
    assert answer.json["code"] == "body_too_large"
    async with Client(None, transport=shop.here.transport) as stranger:
        answer = await stranger.post("/v1/rule-sets", body, headers)
    assert answer.json["code"] == "missing_key"
