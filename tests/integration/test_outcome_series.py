"""What is counted only when the decision allowed it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.embedded import EmbeddedServers
from tests.events import event
from tests.running import entries, service_here, settings_on

GRANTED = ("approve", "challenge")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[EmbeddedServers]:
    with EmbeddedServers.start(tmp_path / "servers") as running:
        yield running


async def test_only_what_was_granted_counts_as_granted(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    """Each redemption sees the earlier ones with a granting outcome; the ledger says which."""
    settings = settings_on(servers, tmp_path, patient_ms=10_000)
    async with service_here(settings) as here:
        outcomes: dict[str, str] = {}
        undecided = event("coupon_redemption", user={"id": "u-1"}, device={"id": "d-0"})
        assert (await here.client.score(undecided, path="/v1/events")).status == 202
        shared = "everybody@example.com"
        for other in ("u-2", "u-3"):
            await here.client.score(event("signup", user={"id": other, "email": shared}))
        for index in range(8):
            user = {"id": "u-1", "email": shared if index % 3 == 2 else "li@example.com"}
            redemption = event("coupon_redemption", user=user)
            answer = (await here.client.score(redemption)).json
            outcomes[answer["decision_id"]] = answer["outcome"]
            if index == 0:  # a repeat gets its answer again and grants nothing twice
                again = (await here.client.score(redemption)).json
                assert again["decision_id"] == answer["decision_id"]
        found = {entry.entry_id.hex(): entry for entry in await entries(settings)}
    assert set(outcomes.values()) & set(GRANTED), "none was granted: this shows nothing"
    assert set(outcomes.values()) - set(GRANTED), "all were granted: this shows nothing"
    granted = 0
    for decision_id, outcome in outcomes.items():
        subject = found[decision_id].subject
        assert subject is not None
        assert subject["facts"]["user_granted_redemptions_7d"] == granted
        is_granted = outcome in GRANTED
        assert ("user_granted_redemptions" in subject["writes"]["user"]) is is_granted
        granted += is_granted
