"""Planted personal data appears nowhere in clear: not on disk, not in a log, not in a metric."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from service.embedded import EmbeddedServers
from tests.events import event
from tests.http_client import Client
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


def forms(text: str) -> set[bytes]:
    """Return the ways in which a text could stand in a file: plain, escaped, encoded."""
    plain = text.encode()
    return {
        plain,
        text.lower().encode(),
        text.upper().encode(),
        quote(text).encode(),
        b64encode(plain)[:-4],
        plain.hex().encode(),
        text.encode("utf-16-le"),
    }


def found_in(content: bytes) -> list[str]:
    """Return the planted texts that stand in `content`."""
    return [text for text in SECRETS if any(form in content for form in forms(text))]


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
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "bundles" not in path.parts]
    assert any("postgres" in path.parts for path in files)
    assert any(path.suffix in (".aof", ".rdb") for path in files), "the dump is looked at too"
    leaks = {str(path): names for path in files if (names := found_in(path.read_bytes()))}
    assert leaks == {}
