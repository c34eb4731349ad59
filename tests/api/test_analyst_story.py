"""The product in one story: how an analyst changes what the shop decides, and takes it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rules.files import RuleSetFiles
from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.events import event
from tests.http_client import Answer, Client
from tests.live_cases import own_settings
from tests.recorded_actions import recorded_actions
from tests.rule_sets import COUPONS, FIRST, changed, people
from tests.running import entries, service_process

RULE = "coupon-crowded-address"
SOON_SECONDS = 2.0  # tests/integration/test_live_switches.py holds the second
PARCELS = 9
# Ana may approve, too: what others wrote.
STAFF: Mapping[str, tuple[str, ...]] = {
    "ana": ("analyst", "approver"),
    "bo": ("approver",),
    "cy": ("analyst",),
}


@dataclass(frozen=True)
class Shop:
    """The running service: `system` is the shop's own program, the others are people."""

    system: Client
    ana: Client
    bo: Client
    cy: Client
    settings: Settings
    port: int
    key: str

    async def orders(self, locker: str) -> list[dict[str, Any]]:
        """Let accounts, one after the other, order with a coupon to one parcel locker."""
        return [
            (await self.system.score(self.order(locker, number))).json for number in range(PARCELS)
        ]

    def order(self, locker: str, number: int) -> dict[str, Any]:
        """Return one checkout."""
        address = {"country": "CN", "postal_code": "310000", "line1": locker}
        order = {"id": "o-1", "amount_minor": 10_000, "currency": "CNY"}
        return event(
            "checkout",
            user={"id": f"{locker}-{number}"},
            coupon={"campaign": "NEW50", "value_minor": 5000},
            order={**order, "shipping_address": address},
        )

    async def soon(self, since: float) -> list[dict[str, Any]]:
        """Return what both workers decide soon after something was done."""
        await asyncio.sleep(max(0.0, since + SOON_SECONDS - time.monotonic()))
        answers = []
        for number in range(16):  # a connection each: the workers share them out
            async with Client(self.key, port=self.port) as client:
                answers.append((await client.score(self.order("Soon", number))).json)
        return answers


@pytest.fixture
async def shop(
    servers: EmbeddedServers, tmp_path: Path, fresh_postgres_url: str, fresh_valkey_url: str
) -> AsyncIterator[Shop]:
    """`touchstone serve` with two workers, with people, deciding by the first rule set."""
    settings = own_settings(servers, tmp_path, FIRST, fresh_postgres_url)
    valkey = settings.valkey.model_copy(update={"url": fresh_valkey_url})
    settings = settings.model_copy(update={"valkey": valkey})
    keys = await people(settings, STAFF)
    with service_process(settings, tmp_path / "service.log") as (served, key):
        async with AsyncExitStack() as stack:
            system, ana, bo, cy = [
                await stack.enter_async_context(Client(one, port=served.port))
                for one in (key, keys["ana"], keys["bo"], keys["cy"])
            ]
            yield Shop(system, ana, bo, cy, settings, served.port, key)


def refused(answer: Answer, status: int, code: str) -> None:
    """Check that it was not done, and why."""
    assert (answer.status, answer.json.get("code")) == (status, code), answer.content


async def push(who: Client, files: RuleSetFiles, note: str) -> dict[str, Any]:
    """Push files; return what came of it."""
    answer = await who.score({"files": dict(files.texts), "note": note}, "/v1/rule-sets")
    assert answer.status == 201, answer.content
    pushed: dict[str, Any] = answer.json
    return pushed


async def act(who: Client, version: str, act: str, **body: Any) -> Answer:
    """Do something with a version."""
    return await who.score(body, f"/v1/rule-sets/{version}/{act}")


@pytest.mark.timeout(300)
async def test_an_analyst_changes_what_the_shop_decides(shop: Shop) -> None:
    """Ana sees abuse through parcel lockers that the live rule is too mild for, and asks for
    a review from three accounts on instead of six. The check finds a slip in a name, she mends it,
    and a backtest over the decisions on record says what her rule would have done: three more
    reviews. Alone she can neither approve nor activate it. Bo approves, Ana activates, and within
    a second both workers decide by her version; each decision names it, also when it is read back
    from the record. The families of one house complain, so Cy rolls back, within a second again.
    At night the first rule errs, too: Cy stops it alone and at once, and cannot confirm that
    himself; Bo does. Every step is an entry of the ledger with who took it."""
    mild = await shop.orders("Locker 1")
    assert [one["outcome"] for one in mild] == ["approve"] * 6 + ["review"] * 3
    assert {one["versions"]["rule_set"] for one in mild} == {FIRST.version}

    stricter = changed(FIRST, "value: 6", "value: 3", COUPONS)
    slip = changed(
        stricter,
        "when: has_coupon && address_distinct_users",
        "when: has_coupon && adress_distinct_users",
        COUPONS,
    )
    found = (await push(shop.ana, slip, "from three accounts on"))["check"]
    assert not found["passed"]
    [problem] = [one for one in found["problems"] if one["severity"] == "error"]
    assert (problem["file"], problem["line"]) == ("coupons.yaml", 10)
    assert "address_distinct_users_30d" in problem["hint"]
    refused(await act(shop.ana, slip.version, "submit"), 409, "evidence_missing")

    pushed = await push(shop.ana, stricter, "from three accounts on")
    version = pushed["rule_set"]["version"]
    assert (pushed["check"]["passed"], pushed["rule_set"]["state"]) == (True, "validated")
    [change] = pushed["difference"]["rules"]
    assert (change["id"], change["change"]) == (RULE, "changed")

    backtest = await backtested(shop, version)
    assert backtest["source"]["events"] == backtest["replay"]["equal"] == PARCELS
    assert backtest["transitions"]["counts"][0] == [3, 0, 3, 0]
    assert backtest["stricter"] | {"honest": 0} == {
        "count": 3, "amount": 30_000, "abuse": 0, "honest": 0,
    }  # fmt: skip

    refused(await act(shop.ana, version, "activate"), 409, "approval_lapsed")
    submitted = await act(shop.ana, version, "submit", note="three more reviews in the backtest")
    assert submitted.status == 201
    refused(await act(shop.ana, version, "approve"), 403, "own_work")
    refused(await act(shop.ana, version, "activate"), 409, "approval_lapsed")
    refused(await act(shop.bo, version, "submit"), 403, "missing_scope")
    assert (await act(shop.bo, version, "approve", note="I saw the lockers")).status == 201
    assert (await act(shop.ana, version, "activate")).status == 201

    since = time.monotonic()
    strict = await shop.soon(since)
    assert {one["versions"]["rule_set"] for one in strict} == {version}
    strict = await shop.orders("Locker 2")
    assert [one["outcome"] for one in strict] == ["approve"] * 3 + ["review"] * 6
    again = (await shop.system.get(f"/v1/decisions/{strict[3]['decision_id']}")).json
    assert (again["versions"]["rule_set"], again["rule_hits"]) == (
        version,
        [{"rule_id": RULE, "status": "hit", "outcome": "review", "mode": "live"}],
    )

    back = await act(shop.cy, "previous", "rollback", note="families share a house")
    assert (back.status, back.json["live"]) == (201, FIRST.version)
    since = time.monotonic()
    assert {one["versions"]["rule_set"] for one in await shop.soon(since)} == {FIRST.version}
    refused(await act(shop.ana, version, "activate"), 409, "approval_lapsed")

    stop = {"rule": RULE, "reason": "a whole dormitory waits for its parcels"}
    stopped = await shop.cy.score(stop, "/v1/rule-stops")
    assert (stopped.status, stopped.json["state"]) == (201, "unconfirmed")
    since = time.monotonic()
    await shop.soon(since)
    free = await shop.orders("Locker 3")
    assert {one["outcome"] for one in free} == {"approve"}
    assert [hit["mode"] for hit in free[-1]["rule_hits"]] == ["stopped"]
    refused(await shop.cy.score({}, f"/v1/rule-stops/{RULE}/confirm"), 403, "own_work")
    confirmed = await shop.bo.score({}, f"/v1/rule-stops/{RULE}/confirm")
    assert (confirmed.status, confirmed.json["confirmed_by"]) == (200, "bo")

    await on_record(shop.settings, version, slip.version)


async def backtested(shop: Shop, version: str) -> dict[str, Any]:
    """Run a backtest of a version over everything on record; return its result."""
    started = await act(shop.ana, version, "backtests")
    assert started.status == 202, started.content
    path = f"/v1/backtests/{started.json['id']}"
    async with asyncio.timeout(90):
        while (job := (await shop.ana.get(path)).json)["state"] in ("queued", "running"):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.1)
    assert (job["state"], job["error"]) == ("done", None)
    result: dict[str, Any] = (await shop.ana.get(f"{path}/result")).json
    return result


async def on_record(settings: Settings, version: str, slip: str) -> None:
    """Check that each step is on record with who took it, and that refused ones are not."""
    actions = await recorded_actions(settings, "rules.")
    told = sorted((one.type.removeprefix("rules."), one.who["actor"]) for one in actions)
    assert told == [
        ("activate", "ana"),
        ("approve", "bo"),
        ("backtest", "ana"),
        ("backtest_done", "system"),
        ("first", "system"),
        ("push", "ana"),
        ("push", "ana"),
        ("rollback", "cy"),
        ("stop", "cy"),
        ("stop_confirm", "bo"),
        ("submit", "ana"),
    ]
    what = {one.type.removeprefix("rules."): one.what for one in actions}
    assert {one.what["version"] for one in actions if one.type == "rules.push"} == {slip, version}
    assert what["approve"]["version"] == what["activate"]["version"] == version
    assert (what["rollback"]["before"], what["rollback"]["live"]) == (version, FIRST.version)
    assert what["stop"]["rule"] == what["stop_confirm"]["rule"] == RULE
    decided = [entry for entry in await entries(settings) if entry.type == "decision"]
    assert {entry.versions["rule_set"] for entry in decided} == {FIRST.version, version}
