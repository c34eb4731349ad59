"""What tests of backtests share: a shop's traffic, decided on the record under a rule set."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from rules.files import SHIPPED, RuleSetFiles
from service.backtest.case import Case
from service.backtest.compared import Verdict
from service.backtest.order import Order, Recorded
from service.backtest.part import PartResult, work
from service.history.decisions import DecisionReader, RecordedDecision
from service.history.ordered import Span
from service.ledger.keys import FileKek, Keyring
from service.secrets_files import read_keys
from service.settings import Settings
from tests.running import service_here
from training.simulator.stream import Traffic, simulate

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=10)

SERIES = """\
series:
  - {name: device_busy, entity: device, measure: count, windows: [24h], events: [login, checkout, payment]}
  - {name: user_busy_first_seen, entity: user, measure: first_seen, windows: [10d], events: [login]}
  - {name: user_busy_devices, entity: user, measure: distinct, of: device, windows: [10d],
     events: [login, checkout, payment]}
derived:
  - {name: device_busy_share, numerator: device_busy_24h, denominator: user_busy_devices_10d}
"""  # noqa: E501 - a row a line
PACK = """\
pack: tests
owner: tests
rules:
  - id: test-busy-device
    description: A device does much in a day.
    event_types: [login, checkout, payment]
    when: device_busy_24h >= 2
    outcome: challenge
    reason: COUPON_SHARED_DEVICE
    threshold: {source: test, false_alarms: none}
  - id: test-first-login
    description: The first login of an account, from a device that is busy already.
    event_types: [login]
    when: user_busy_is_new && device_busy_24h >= 1
    outcome: challenge
    reason: COUPON_SHARED_DEVICE
    threshold: {source: test, false_alarms: none}
  - id: test-many-devices
    description: An account has several devices and much happens on each.
    event_types: [login, checkout, payment]
    when: user_busy_devices_10d >= 2 && device_busy_share > 0.5
    outcome: review
    reason: COUPON_SHARED_DEVICE
    threshold: {source: test, false_alarms: none}
"""


def shipped() -> RuleSetFiles:
    """The rule set that comes with the service."""
    return RuleSetFiles.load(SHIPPED)


def candidate_of(files: RuleSetFiles) -> RuleSetFiles:
    """Another set: own series and rules on them, a pack less, another policy for payments.

    Outcomes that counters hang on (`outcomes` in the catalog) stay what they were.
    """
    texts = {name: text for name, text in files.texts.items() if "return_abuse" not in name}
    texts["packs/tests.yaml"] = PACK
    texts["series.yaml"] = SERIES
    texts["policy.yaml"] = files.texts["policy.yaml"].replace("review_at: 0.50", "review_at: 0.20")
    assert texts["policy.yaml"] != files.texts["policy.yaml"]
    return RuleSetFiles.of(texts)


def traffic(events: int, seed: int) -> Iterator[dict[str, Any]]:
    """Simulated events in the order of their times."""
    last = ""
    for labelled in simulate(Traffic(events, seed, SINCE, UNTIL)):
        last = max(last, labelled.event["occurred_at"])
        yield {**labelled.event, "occurred_at": last}


async def serve(
    settings: Settings, bodies: list[dict[str, Any]], *, counted: int | None = 9
) -> None:
    """Let a service decide the events; every `counted`th is only counted."""
    async with service_here(settings) as here:
        for number, body in enumerate(bodies):
            path = "/v1/events" if counted and number % counted == 0 else "/v1/score"
            answer = await here.client.score(body, path)
            assert answer.status in (200, 202), answer.content


async def recorded(settings: Settings) -> dict[str, RecordedDecision]:
    """Return every recorded decision, by the tag of its event."""
    connection = await asyncpg.connect(settings.postgres.url)
    try:
        ring = Keyring(FileKek(read_keys(settings).kek))
        reader = DecisionReader(connection, ring, settings.ledger.log_name)
        return {one.event.event_tag: one async for page in reader.pages(Span()) for one in page}
    finally:
        await connection.close()


def order_of(
    settings: Settings, candidate: RuleSetFiles, baseline: RuleSetFiles, **more: Any
) -> Order:
    """An order over everything that was recorded."""
    source = Recorded(
        round(SINCE.timestamp() * 1000) - 1, round(UNTIL.timestamp() * 1000), datetime.now(UTC)
    )
    given: Mapping[str, Any] = {"source": source, "processes": 1, **more}
    return Order(settings, dict(candidate.texts), dict(baseline.texts), **given)


async def decided(order: Order) -> tuple[PartResult, list[tuple[Case, Verdict]]]:
    """Carry out an order in a thread; return what it found and every verdict."""
    verdicts: list[tuple[Case, Verdict]] = []
    result = await asyncio.to_thread(
        work, order, lambda _: None, lambda *seen: verdicts.append(seen)
    )
    return result, verdicts
