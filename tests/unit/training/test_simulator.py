"""The simulator's streams are valid, ordered, labelled, reproducible and end when they should."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from features.event import parse_event
from features.event_types import EVENT_TYPES
from training.labelled import Labelled
from training.simulator.stream import (
    _EVENTS_PER_ATTACK,
    ATTACKS,
    Traffic,
    simulate,
)
from training.simulator.world import World

UNTIL = datetime(2026, 11, 22, tzinfo=UTC)


def traffic(events: int = 6000, seed: int = 7, days: int = 14, run: str = "t1") -> Traffic:
    return Traffic(events, seed, UNTIL - timedelta(days=days), UNTIL, run)


@pytest.fixture(scope="module")
def stream() -> list[Labelled]:
    return list(simulate(traffic()))


def test_every_event_is_valid_and_every_type_occurs(stream: list[Labelled]) -> None:
    """The API would take each of them; no type is left out."""
    types = {parse_event(json.dumps(item.event).encode()).type for item in stream}
    assert types == set(EVENT_TYPES)


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
