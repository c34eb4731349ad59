"""Counting under concurrency: what two processes and many requests at once may never get wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from service.embedded import EmbeddedServers
from service.settings import Settings
from tests.events import event
from tests.http_client import Client
from tests.running import entries, service_process, settings_on
from tests.served import Served


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Served, str, Settings]]:
    """`touchstone serve` with two workers on servers of its own."""
    base = tmp_path_factory.mktemp("once")
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000)
        with service_process(settings, base / "service.log") as (served, key):
            yield served, key, settings


async def test_concurrent_redemptions_see_each_count_once(
    running: tuple[Served, str, Settings],
) -> None:
    """Of 200 redemptions on one device at once, each sees another count: exactly 0 to 199."""
    served, key, settings = running
    events = [
        event("coupon_redemption", device={"id": "d-200"}, user={"id": f"u-200-{index}"})
        for index in range(200)
    ]
    async with Client(key, port=served.port) as client:
        answers = await client.score_all(events)
    assert {answer.status for answer in answers} == {200}
    ids = {answer.json["decision_id"] for answer in answers}
    seen = [
        entry.subject["facts"]["device_coupon_redemptions_24h"]
        for entry in await entries(settings)
        if entry.entry_id.hex() in ids and entry.subject is not None
    ]
    assert sorted(seen) == list(range(200))


async def test_one_event_fifty_times_at_once(running: tuple[Served, str, Settings]) -> None:
    """The same event 50 times at once, on two workers: one entry, one count, 50 equal answers."""
    served, key, settings = running
    device = {"id": "d-50"}
    repeated = event("coupon_redemption", device=device)
    async with Client(key, port=served.port) as client, Client(key, port=served.port) as other:
        answers = await asyncio.gather(
            *(one.score(repeated) for _ in range(25) for one in (client, other))
        )
        after = await client.score(event("coupon_redemption", device=device))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    recorded = {entry.entry_id.hex(): entry for entry in await entries(settings)}
    same_event = [
        entry
        for entry in recorded.values()
        if entry.type == "decision"
        and entry.subject is not None
        and entry.subject["event_id"] == repeated["event_id"]
    ]
    assert len(same_event) == 1
    subject = recorded[after.json["decision_id"]].subject
    assert subject is not None
    assert subject["facts"]["device_coupon_redemptions_24h"] == 1


async def test_a_repeat_with_another_body_is_refused(
    running: tuple[Served, str, Settings],
) -> None:
    """The same id with another body gets 409 from every worker, and no count changes."""
    served, key, settings = running
    after = set()
    for index in range(10):  # each client has a connection of its own: some reach the other worker
        first = event("coupon_redemption", device={"id": f"d-409-{index}"})
        other_device = {"id": f"d-409-other-{index}"}
        async with Client(key, port=served.port) as client:
            assert (await client.score(first)).status == 200
        async with Client(key, port=served.port) as client:
            refused = await client.score(first | {"device": other_device})
            assert (refused.status, refused.json["code"]) == (409, "event_conflict")
            later = await client.score(event("coupon_redemption", device=other_device))
            after.add(later.json["decision_id"])
    counts = [
        entry.subject["facts"]["device_coupon_redemptions_24h"]
        for entry in await entries(settings)
        if entry.entry_id.hex() in after and entry.subject is not None
    ]
    assert counts == [0] * 10
