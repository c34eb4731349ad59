"""A person on the list `human_review`, from the officer's entry to the decision and its record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rules.human_review import REASON
from service.embedded import EmbeddedServers
from tests.deploying import pack_of, set_of
from tests.events import event
from tests.running import Here, entries, service_here, settings_on

PATIENCE_SECONDS = 10


async def outcome_of(here: Here, user: str) -> dict[str, Any]:
    answer = await here.client.score(event("checkout", user={"id": user}))
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


async def test_flag_caps_what_a_machine_does(servers: EmbeddedServers, tmp_path: Path) -> None:
    """A decline becomes a review with its reason, for that person only, and the entry says so."""
    set_of(pack_of("all-of-them", outcome="decline")).write(tmp_path / "rules")
    settings = settings_on(servers, tmp_path, patient_ms=10_000, rules_dir=tmp_path / "rules")
    async with service_here(settings) as here:
        assert (await outcome_of(here, "u-flag"))["outcome"] == "decline"
        row = {"kind": "user", "value": "u-flag"}
        body = {"entries": [row], "reason": "objection 7 of the person"}
        added = await here.client.score(body, "/v1/lists/human_review/entries")
        assert added.status == 200, added.content
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (answer := await outcome_of(here, "u-flag"))["outcome"] == "decline":  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.02)
        assert answer["outcome"] == "review"
        assert (REASON, "list:human_review") in [
            (r["code"], r["source"]) for r in answer["reasons"]
        ]
        assert [hit["outcome"] for hit in answer["rule_hits"]] == ["decline"]
        assert (await outcome_of(here, "u-other"))["outcome"] == "decline"
        recorded = [e for e in await entries(settings) if e.entry_id.hex() == answer["decision_id"]]
        assert recorded[0].subject is not None
        assert recorded[0].subject["facts"]["list.human_review.user"] is True
