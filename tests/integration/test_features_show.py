"""`touchstone features show`: what is known, without a word of who it is."""

from __future__ import annotations

import json
from pathlib import Path

from service.embedded import EmbeddedServers
from tests.events import event
from tests.integration.restore_cases import run, settings_for
from tests.running import service_here

DEVICE, MAIL = "dev-very-own-4711", "Li.Wei+shop@example.com"


async def test_what_is_known_is_shown_by_tag_only(
    servers: EmbeddedServers, fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Windows, members and times are printed; no identifier is, nor in the error of a bad one."""
    settings = settings_for(servers, tmp_path, fresh_valkey_url, fresh_postgres_url)
    async with service_here(settings) as here:
        for number in range(3):
            await here.client.score(
                event(
                    "signup",
                    user={"id": f"u-{number}", "email": MAIL},
                    device={"id": DEVICE},
                    coupon=None,
                )
            )
        tag = here.runtime.brain.tagger.tag("device", DEVICE)
    shown = await run(settings, "show", "--entity", f"device={DEVICE}")
    assert shown.returncode == 0, shown.stderr
    assert f"device:{tag}" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["device_signups_24h", "3"] in lines
    assert ["device_distinct_users_24h", "3"] in lines
    assert any(line[-1] == "exact" for line in lines)
    by_tag = await run(settings, "show", "--tag", f"device:{tag}", "--json")
    [found] = json.loads(by_tag.stdout)
    signups = next(one for one in found["series"] if one["series"] == "device_signups")
    assert signups["features"] == {"device_signups_1h": 3, "device_signups_24h": 3}
    assert (signups["complete"], signups["thinned"]) == (True, False)
    assert 0 < signups["members"] <= 3
    assert signups["first"] <= signups["last"]
    wrong = await run(settings, "show", "--entity", "ip=not-an-address-4711")
    assert wrong.returncode == 1
    for output in (shown, by_tag, wrong):
        for secret in (DEVICE, MAIL, "4711"):
            assert secret not in output.stdout + output.stderr


async def test_two_entities_show_their_pair(
    servers: EmbeddedServers, fresh_valkey_url: str, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A user and a campaign together show what is counted for both."""
    settings = settings_for(servers, tmp_path, fresh_valkey_url, fresh_postgres_url)
    async with service_here(settings) as here:
        for _ in range(2):
            await here.client.score(event("coupon_redemption", user={"id": "u-9"}))
    words = ["--entity", "user=u-9", "--entity", "coupon_campaign=NEW50", "--json"]
    shown = json.loads((await run(settings, "show", *words)).stdout)
    assert [one["kind"] for one in shown][:2] == ["user", "coupon_campaign"]
    pair = next(one for one in shown if one["kind"] == "user+coupon_campaign")
    [series] = [one for one in pair["series"] if one["series"] == "user_campaign_redemptions"]
    assert series["features"]["user_campaign_redemptions_24h"] == 2
