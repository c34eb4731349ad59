"""Merchants through the API: what is stopped, why, and what is kept of it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from features.event_types import EVENT_TYPES
from service.embedded import EmbeddedServers
from tests.http_client import Client
from tests.running import entries, service_here, settings_on


def changed(kind: str, event_id: str, **parts: dict[str, Any]) -> dict[str, Any]:
    """The example of a type, with values of its parts replaced; None takes a value out."""
    body = deepcopy(EVENT_TYPES[kind].example) | {"event_id": event_id}
    for part, values in parts.items():
        body[part].update(values)
        body[part] = {name: value for name, value in body[part].items() if value is not None}
    return body


async def answered(client: Client, body: dict[str, Any]) -> tuple[str, set[str], list[str]]:
    """Return outcome, rules that hit, and reason codes."""
    answer = (await client.score(body)).json
    assert answer["degraded"] == [], answer
    hits = {hit["rule_id"] for hit in answer["rule_hits"] if hit["status"] == "hit"}
    return answer["outcome"], hits, [reason["code"] for reason in answer["reasons"]]


async def test_a_merchant_who_keeps_the_law_and_one_who_does_not(tmp_path: Path) -> None:
    """An honest offer and its settlement go ahead. Absolute terms are refused in a title, food that
    heals is refused, food without a licence waits for one, and five refusals bring a person. A
    payout for an empty parcel is looked at; money in a circle is refused."""
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        async with service_here(settings_on(servers, tmp_path, patient_ms=10_000)) as here:
            ask = here.client
            for kind in ("listing_submitted", "settlement"):
                assert await answered(ask, changed(kind, f"ok-{kind}")) == ("approve", set(), [])

            loud = changed("listing_submitted", "loud", listing={"title": "国家级 每日坚果"})
            outcome, hits, reasons = await answered(ask, loud)
            assert (outcome, reasons) == ("decline", ["LISTING_ABSOLUTE_TERMS"])
            assert hits == {"listing-statutory-term-title"}

            bare = changed("listing_submitted", "bare", merchant={"licences": []})
            outcome, hits, reasons = await answered(ask, bare)
            assert (outcome, hits) == ("challenge", {"listing-food-licence-missing"})
            assert reasons == ["LISTING_PAPERS_MISSING"]

            for number in range(6):
                heals = changed(
                    "listing_submitted", f"heals-{number}",
                    merchant={"id": "m-heals"}, listing={"description": "根治高血压"},
                )  # fmt: skip
                outcome, hits, _ = await answered(ask, heals)
                assert outcome == "decline"
            assert hits == {"listing-disease-claim-consumed", "listing-refused-repeatedly"}

            empty = changed("settlement", "empty", settlement={"goods": {"amount_minor": 0}})
            outcome, hits, _ = await answered(ask, empty)
            assert (outcome, hits) == (
                "review", {"settlement-goods-below-money", "settlement-gap-far"},
            )  # fmt: skip
            money = {"amount_minor": 12050, "payer": "m-3", "payee": "m-3"}
            outcome, hits, reasons = await answered(
                ask, changed("settlement", "circle", settlement={"money": money})
            )
            assert (outcome, reasons[0]) == ("decline", "SETTLEMENT_CIRCULAR")


async def test_who_traded_with_whom_is_kept_nowhere(tmp_path: Path) -> None:
    """Merchants and parties of a settlement stand as tags in the record, or not at all."""
    secret = "payer-4711-secret"
    money = {"amount_minor": 12050, "payer": secret, "payee": "m-3"}
    body = changed("settlement", "kept", settlement={"money": money}, merchant={"id": "m-4711x"})
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        async with service_here(settings_on(servers, tmp_path, patient_ms=10_000)) as here:
            answer = await here.client.score(body)
            assert answer.status == 200
            read = await here.client.get(f"/v1/decisions/{answer.json['decision_id']}")
            assert not {secret, "m-4711x"} & set(json.dumps([answer.json, read.json]).split('"'))
            kept = [str(entry) for entry in await entries(here.settings)]
            assert any("settlement.paid_base_minor" in text for text in kept), "read in clear"
            assert not [text for text in kept if secret in text or "m-4711x" in text]
