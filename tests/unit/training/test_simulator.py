"""The simulator's streams are valid, ordered, labelled, reproducible and end when they should."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

import pytest

import rules
from features.catalog import Catalog
from features.event import parse_event
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from rules.engine import Engine
from rules.ruleset import RuleSet
from training.dataset import OfflineKnowledge
from training.labelled import Labelled
from training.simulator import trade
from training.simulator.stream import (
    _EVENTS_PER_ATTACK,
    ATTACKS,
    Traffic,
    simulate,
)
from training.simulator.world import World

UNTIL = datetime(2026, 11, 22, tzinfo=UTC)
OF_MERCHANTS = {"listing_submitted", "settlement"}
CATALOG, CURRENCIES = Catalog.load(), CurrencyTable("CNY", {}, {})


def traffic(events: int = 6000, seed: int = 7, days: int = 14, run: str = "t1") -> Traffic:
    return Traffic(events, seed, UNTIL - timedelta(days=days), UNTIL, run)


@pytest.fixture(scope="module")
def stream() -> list[Labelled]:
    return list(simulate(traffic()))


@pytest.fixture(scope="module")
def market() -> list[Labelled]:
    return list(simulate(replace(traffic(), merchants_share=0.15)))


def test_every_event_is_valid_and_every_type_occurs(stream: list[Labelled]) -> None:
    """The API would take each of them; no type is left out but those of merchants."""
    types = {parse_event(json.dumps(item.event).encode()).type for item in stream}
    assert types == set(EVENT_TYPES) - OF_MERCHANTS


def test_merchants_are_beside_the_customers(market: list[Labelled]) -> None:
    """With merchants every type occurs, in order, and each way of breaking a rule."""
    types = {parse_event(json.dumps(item.event).encode()).type for item in market}
    assert types == set(EVENT_TYPES)
    times = [item.event["occurred_at"] for item in market]
    assert times == sorted(times)
    assert 5700 <= len(market) <= 6000
    assert len({item.event["event_id"] for item in market}) == len(market)
    of_merchants = [item for item in market if item.event["type"] in OF_MERCHANTS]
    assert 0.1 <= len(of_merchants) / len(market) <= 0.2
    assert {item.scenario for item in of_merchants if item.label} == {
        attack.__name__ for attack in trade.ATTACKS
    }
    buyers = {item.event["user"]["id"] for item in of_merchants if "user" in item.event}
    assert buyers & set(users([item for item in market if item not in of_merchants]))


def test_merchants_change_no_customer(stream: list[Labelled]) -> None:
    """What the model learns from is the same stream, whatever merchants do in another one."""
    few = list(simulate(replace(traffic(), merchants_share=0.0001)))
    assert few == stream, "less than one event of merchants"
    some = simulate(replace(traffic(7000), merchants_share=1 / 7, population=240))
    alone = simulate(replace(traffic(6000), population=240))
    assert [item for item in some if item.event["type"] not in OF_MERCHANTS] == list(alone)


def test_rules_know_honest_merchants_from_others(market: list[Labelled]) -> None:
    """The packs hit one honest event in fifty at most, and four in five of the others.

    Invented trade is seen when it has become a series.
    """
    knowledge, hits = OfflineKnowledge(CATALOG, CURRENCIES), Counter[tuple[int | None, bool]]()
    engine = Engine(RuleSet.load(Path(rules.__file__).parent / "packs"), CATALOG.fact_types)
    for item in market:
        event = parse_event(json.dumps(item.event).encode(), CURRENCIES)
        if event.type in OF_MERCHANTS:
            facts = knowledge.facts_of(event).values
            hits[item.label, bool(engine.evaluate(event.type, facts))] += 1
    assert hits[0, True] <= 0.02 * hits[0, False]
    assert hits[1, True] >= 0.8 * (hits[1, True] + hits[1, False])


def test_time_never_runs_backwards_and_stays_inside(stream: list[Labelled]) -> None:
    """Events come in order, none before the beginning, none after the end, the last one near it."""
    times = [datetime.fromisoformat(item.event["occurred_at"]) for item in stream]
    assert all(a <= b for a, b in pairwise(times))
    assert times[0] >= UNTIL - timedelta(days=14)
    assert UNTIL - timedelta(hours=6) < times[-1] <= UNTIL


def test_about_as_many_events_as_asked_for(stream: list[Labelled]) -> None:
    """Never more, and within a twentieth."""
    assert 5700 <= len(stream) <= 6000


def test_labels_are_beside_the_event(stream: list[Labelled]) -> None:
    """Five to ten per cent are abuse, and no event says so itself."""
    share = sum(item.label == 1 for item in stream) / len(stream)
    assert 0.05 <= share <= 0.10
    for item in stream:
        text = json.dumps(item.event)
        assert "label" not in text
        assert item.scenario not in text


def test_every_attack_occurs(stream: list[Labelled]) -> None:
    """A stream of this length holds each kind of attack at least once."""
    seen = {item.scenario for item in stream if item.label}
    assert seen == {attack.__name__ for attack in ATTACKS}


def test_equal_arguments_give_equal_streams(stream: list[Labelled]) -> None:
    """The seed decides everything; another seed gives another stream."""
    assert list(simulate(traffic())) == stream
    assert list(islice(simulate(traffic(seed=8)), 50)) != stream[:50]


def test_a_later_run_has_new_ids_and_the_old_customers(stream: list[Labelled]) -> None:
    """Event ids never meet; customers of before come back unchanged."""
    settled = UNTIL - timedelta(days=14)
    later = list(
        simulate(
            replace(
                traffic(2000, run="t2"),
                since=UNTIL,
                until=UNTIL + timedelta(days=3),
                population=240,
                settled=settled,
            )
        )
    )
    assert not {i.event["event_id"] for i in stream} & {i.event["event_id"] for i in later}
    before, after = users(stream), users(later)
    common = set(before) & set(after)
    assert len(common) > 50
    assert all(before[user] == after[user] for user in common)


def users(stream: list[Labelled]) -> dict[str, object]:
    """The last seen user part of everybody who was not made by a farm."""
    return {i.event["user"]["id"]: i.event["user"] for i in stream if "user" in i.event}


def test_memory_holds_open_sessions_only() -> None:
    """The first events of a huge stream come at once."""
    huge = replace(traffic(events=10_000_000, days=400), population=100)
    assert len(list(islice(simulate(huge), 10))) == 10


def test_attacks_have_the_length_that_the_mix_counts_on() -> None:
    """The mean over all attacks, return abusers' honest steps left out, is near the constant."""
    world = World(3, "x", UNTIL.timestamp(), 200)
    sizes = [
        sum(step.abusive for step in attack(world, UNTIL.timestamp()))
        for _ in range(60)
        for attack in ATTACKS
    ]
    assert sum(sizes) / len(sizes) == pytest.approx(_EVENTS_PER_ATTACK, rel=0.2)


def test_honest_people_look_suspicious_at_times(stream: list[Labelled]) -> None:
    """Failed logins, declined cards, shared devices and several coupons a day are honest too."""
    honest = [item.event for item in stream if item.label == 0]
    assert any(e["type"] == "login" and not e["login"]["succeeded"] for e in honest)
    assert any(e.get("payment", {}).get("outcome") == "declined" for e in honest)
    on_device = defaultdict(set)
    for event in honest:
        on_device[event["device"]["id"]].add(event["user"]["id"])
    assert max(map(len, on_device.values())) >= 3
    coupons = Counter(
        (e["user"]["id"], e["occurred_at"][:10]) for e in honest if e["type"] == "coupon_redemption"
    )
    assert max(coupons.values()) >= 4
