"""Planted personal data appears nowhere in clear: not on disk, not in a log, not in a metric."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from service.embedded import EmbeddedServers
from tests.events import event
from tests.http_client import Answer, Client
from tests.rule_sets import COUPONS, FIRST, changed
from tests.running import service_process, settings_on

EMAIL = "mei.lin.planted+shop@example.org"
PHONE = "+8613912345678"
USER = "user-planted-4711"
DEVICE = "device-planted-0815"
IP = "198.51.100.213"
LINE1 = "77 Planted Garden Road"
POSTAL_CODE = "PLNT-310099"
PAN = "4012888888881881"
TOKEN = "tok_planted_instrument"
AGENT = "Mozilla/5.0 (PlantedPhone; rv:1.0) Planted/1.0"
EVENT_ID = "event-planted-1234"
MERCHANT, PARTY, TITLE = "merchant-planted-77", "party-planted-88", "PlantedTitleOfAnOffer"
SECRETS = (
    EMAIL, PHONE, USER, DEVICE, IP, LINE1, POSTAL_CODE, PAN, TOKEN, AGENT, EVENT_ID, MERCHANT,
    PARTY, TITLE,
)  # fmt: skip
ENTITIES: dict[str, object] = {
    "user": USER,
    "device": DEVICE,
    "ip": IP,
    "email": EMAIL,
    "phone": PHONE,
    "payment_instrument": TOKEN,
    "shipping_address": {"country": "CN", "postal_code": POSTAL_CODE, "line1": LINE1},
    "merchant": MERCHANT,
}
WHEN = """when: in_list("planted", "device") || has_coupon &&"""


def forms(text: str) -> set[bytes]:
    """Return the ways in which a text could stand in a file, in small letters."""
    plain = text.encode()
    found = {plain, quote(text).encode(), b64encode(plain)[:-4], text.encode("utf-16-le")}
    return {form.lower() for form in found} | {plain.hex().encode()}


FORMS = {text: forms(text) for text in SECRETS}


def found_in(content: bytes) -> list[str]:
    """Return the planted texts that stand in `content`, in whatever case."""
    small = content.lower()
    return [text for text, written in FORMS.items() if any(form in small for form in written)]


@pytest.mark.parametrize("postgres_is_down", [False, True])
async def test_nothing_is_in_clear(tmp_path: Path, postgres_is_down: bool) -> None:
    """Decided, counted, refused, repeated and spooled events leave no readable trace."""
    planted = {
        "user": {"id": USER, "email": EMAIL, "phone": PHONE},
        "device": {"id": DEVICE, "user_agent": AGENT},
        "network": {"ip": IP},
        "payment": {"method": "card", "instrument": TOKEN, "outcome": "declined"},
        "order": {
            "id": "o-1",
            "amount_minor": 100,
            "shipping_address": {"country": "CN", "postal_code": POSTAL_CODE, "line1": LINE1},
        },
    }
    offer = event(
        "listing_submitted",
        merchant={"id": MERCHANT},
        listing={"id": PARTY, "category": "toys", "title": TITLE, "description": TITLE},
    )
    money = {"amount_minor": 100, "payer": PARTY, "payee": MERCHANT}
    payout = event(
        "settlement",
        merchant={"id": MERCHANT},
        settlement={"id": PARTY, "order_amount_minor": 100, "money": money},
    )
    good = event("payment", event_id=EVENT_ID, **planted)
    bad = event("payment", **planted) | {"note": PAN, PAN: 1}
    worse = event("payment", **(planted | {"user": {"id": USER, "email": f"{EMAIL} {PAN}"}}))
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        assert servers.postgres is not None
        settings = settings_on(servers, tmp_path, patient_ms=10_000)
        with service_process(settings, tmp_path / "service.log") as (served, key):
            async with Client(key, port=served.port) as client:
                assert (await client.score(event("payment", **planted))).status == 200
                if postgres_is_down:
                    servers.postgres.kill()
                sent = (good, good, offer, payout, bad, worse)
                answers = [await client.score(one) for one in sent]
                assert [answer.status for answer in answers] == [200, 200, 200, 200, 422, 422]
                for answer in answers[4:]:
                    assert found_in(answer.content) == []
                taught = await client.score(event("login", **planted), "/v1/events")
                assert taught.status == 202
                metrics = (await client.get("/metrics")).content
                assert b"touchstone_decisions_total" in metrics
                assert found_in(metrics) == []
        if postgres_is_down:
            spool = b"".join(path.read_bytes() for path in (settings.var / "spool").glob("*"))
            assert len(spool) > 1000
    assert leaks_under(tmp_path) == {}


def leaks_under(base: Path) -> dict[str, list[str]]:
    """Return the files of a service that was stopped with the planted texts in them."""
    files = [path for path in base.rglob("*") if path.is_file() and "bundles" not in path.parts]
    assert any("postgres" in path.parts for path in files)
    assert any(path.suffix in (".aof", ".rdb") for path in files), "the dump is looked at too"
    return {str(path): names for path in files if (names := found_in(path.read_bytes()))}


async def test_nothing_that_people_state_is_in_clear(tmp_path: Path) -> None:
    """Lists, labels, backtests and reports, used and refused: no file, answer or export says who
    they are about."""
    FIRST.write(tmp_path / "rules")
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        settings = settings_on(servers, tmp_path, patient_ms=10_000, rules_dir=tmp_path / "rules")
        with service_process(settings, tmp_path / "service.log") as (served, key):
            async with Client(key, port=served.port) as client:
                said = [*await lists(client), *await labels(client), *await reports(client)]
                said.append((await client.get("/metrics")).content)
    assert [found_in(content) for content in said if found_in(content)] == []
    assert leaks_under(tmp_path) == {}


async def lists(client: Client) -> list[bytes]:
    """Put everybody on a list, one by one and as CSV, look them up and take them off again."""
    made = await client.score(
        {"name": "planted", "purpose": "deny", "description": "a test"}, "/v1/lists"
    )
    assert made.status == 201
    named = [{"kind": kind, "value": value} for kind, value in ENTITIES.items()]
    path = "/v1/lists/planted"
    said = [await client.score({"entries": named, "reason": "case 4711"}, f"{path}/entries")]
    cells = [
        [kind, value if isinstance(value, str) else json.dumps(value)]
        for kind, value in ENTITIES.items()
    ]
    said += [await csv_of(client, f"{path}/import?reason=again", ["kind", "value"], cells)]
    said += [await client.score({"entries": named}, "/v1/lists/test")]
    said += [await client.get(f"{path}/{what}") for what in ("entries", "export")]
    some = {"entries": named[-2:], "reason": "were found again"}
    said += [await client.score(some, f"{path}/remove")]
    assert {answer.status for answer in said} == {200}
    assert said[4].content.count(b"\n") == len(ENTITIES) + 1
    # Each of these is wrong in a way of its own.
    refused = [
        await client.score({"entries": named, "reason": f"it is {USER}"}, f"{path}/entries"),
        await client.score({"entries": named, "reason": "x", PAN: 1}, f"{path}/entries"),
        await client.score({"entries": [{"kind": "ip", "value": EMAIL}]}, "/v1/lists/test"),
        await client.score({"entries": [{"kind": PAN, "tag": EMAIL}]}, "/v1/lists/test"),
        await client.score({"entries": [{"kind": "user", "value": PAN}]}, "/v1/lists/test"),
        await csv_of(client, f"{path}/import", ["kind", PAN], [["user", USER]]),
        await csv_of(client, f"{path}/import?reason=x", ["kind", "value"], [["phone", EMAIL]]),
        await client.get(f"{path}/entries?kind={quote(EMAIL)}&after=-{PAN}"),
        await client.get(f"/v1/lists/{quote(USER)}"),
    ]
    assert {answer.status for answer in refused} == {422}
    return [answer.content for answer in (*said, *refused)]


async def labels(client: Client) -> list[bytes]:
    """Let an event be decided and say what it turned out to be, in each way."""
    device = {"id": DEVICE, "user_agent": AGENT}
    planted = event("checkout", event_id=EVENT_ID, user={"id": USER}, device=device)
    assert (await client.score(planted)).status == 200
    label = {"event_id": EVENT_ID, "source": "chargeback"}
    said = [
        await client.score({"labels": [label]}, "/v1/labels"),
        await csv_of(
            client, "/v1/labels/import", ["event_id", "source", "label"],
            [[EVENT_ID, "review_result", "honest"]],
        ),
        await client.get(f"/v1/labels/of?event_id={EVENT_ID}"),
        await client.get("/v1/labels"),
        await client.get("/v1/labels/export"),
    ]  # fmt: skip
    assert {answer.status for answer in said} == {200}
    assert said[4].content.count(b"\n") == 2
    refused = [
        await client.score({"labels": [{**label, "event_id": USER}]}, "/v1/labels"),
        await client.score({"labels": [{**label, "source": EMAIL}]}, "/v1/labels"),
        await csv_of(client, "/v1/labels/import", ["event_id", "source"], [[PAN, EMAIL]]),
    ]
    assert {answer.status for answer in refused} == {422}
    return [answer.content for answer in (*said, *refused)]


async def reports(client: Client) -> list[bytes]:
    """Let a version that asks the list be backtested and watch, and read every report."""
    files = changed(FIRST, "when: has_coupon &&", WHEN, COUPONS)
    pushed = await client.score({"files": dict(files.texts)}, "/v1/rule-sets")
    assert pushed.json["check"]["passed"], pushed.content
    path = f"/v1/rule-sets/{files.version}"
    assert (await client.score({}, f"{path}/shadow")).status == 201
    started = await client.score({}, f"{path}/backtests")
    job = f"/v1/backtests/{started.json['id']}"
    await until_done(client, job, lambda answer: answer.json["state"] == "done")
    watched = event("checkout", user={"id": USER}, device={"id": DEVICE, "user_agent": AGENT})
    assert (await client.score(watched)).status == 200
    shadow, performance = f"{path}/shadow-report", "/v1/rules/performance"
    await until_done(client, shadow, lambda answer: bool(answer.json["decisions"]))
    await until_done(client, performance, lambda answer: answer.status == 200)
    report = f"{job}/report"
    asked = (job, f"{job}/result", report, f"{report}?lang=zh", shadow, performance, path)
    said = [await client.get(one) for one in asked]
    assert {answer.status for answer in said} == {200}
    assert said[1].json["source"]["events"] == 1
    assert said[1].json["examples"]["false_alarms"], "an event is among them"
    return [answer.content for answer in said]


async def csv_of(client: Client, path: str, columns: list[str], rows: list[list[str]]) -> Answer:
    """Send a CSV."""
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return await client.post(path, text.getvalue().encode(), {"Content-Type": "text/csv"})


async def until_done(client: Client, path: str, is_done: Callable[[Answer], bool]) -> None:
    """Ask until it is there."""
    async with asyncio.timeout(90):
        while not is_done(await client.get(path)):  # noqa: ASYNC110 - it is polled
            await asyncio.sleep(0.2)
