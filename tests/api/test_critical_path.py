"""The story that Touchstone exists for: one honest customer, one coupon farmer, one device each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from service.embedded import EmbeddedServers
from tests.events import event
from tests.running import service_here, settings_on


def _person(name: str, device: str, email: str, address: str, age: timedelta) -> dict[str, Any]:
    return {
        "user": {
            "id": name,
            "email": email,
            "created_at": (datetime.now(UTC) - age).isoformat(),
        },
        "device": {"id": device, "platform": "ios", "timezone_offset_minutes": 480},
        "network": {"ip": "203.0.113.7" if name == "li" else "198.51.100.9"},
        "order": {
            "id": f"o-{name}",
            "amount_minor": 8000,
            "currency": "CNY",
            "shipping_address": {"country": "CN", "city": "Hangzhou", "line1": address},
        },
    }


async def test_an_honest_customer_and_a_coupon_farmer(tmp_path: Path) -> None:
    """Li redeems a coupon with an account of years and is let through. The farmer makes account
    after account on one phone, with aliases of one mailbox, for the same high-value coupon: the
    first accounts may pass, the later ones do not, and the reasons say why in both languages."""
    coupon = {"campaign": "NEW50", "value_minor": 5000}
    with EmbeddedServers.start(tmp_path / "servers") as servers:
        async with service_here(settings_on(servers, tmp_path, patient_ms=10_000)) as here:
            li = _person("li", "d-li", "li.na@example.com", "1 Lake Road", timedelta(days=900))
            honest = (await here.client.score(event("coupon_redemption", coupon=coupon, **li))).json
            assert honest["outcome"] == "approve", honest

            answers = []
            for number in range(8):
                farmer = _person(
                    f"farm-{number}",
                    "d-farm",
                    f"farmer+{number}@example.com",
                    "9 Farm Lane",
                    timedelta(minutes=3),
                )
                signup = {part: farmer[part] for part in ("user", "device", "network")}
                await here.client.score(event("signup", **signup))
                answers.append(
                    (
                        await here.client.score(event("coupon_redemption", coupon=coupon, **farmer))
                    ).json
                )
            last = answers[-1]
            assert last["outcome"] in ("review", "decline"), last
            hits = {hit["rule_id"] for hit in last["rule_hits"] if hit["status"] == "hit"}
            assert any("device" in rule or "mailbox" in rule for rule in hits), hits
            assert len(last["reasons"]) <= 4
            assert all(reason["text"]["en"] and reason["text"]["zh"] for reason in last["reasons"])

            again = (await here.client.score(event("coupon_redemption", coupon=coupon, **li))).json
            assert again["outcome"] == "approve", "the farm does not touch Li"
            read = await here.client.get(f"/v1/decisions/{last['decision_id']}")
            assert read.json == last
