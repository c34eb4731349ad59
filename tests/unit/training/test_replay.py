"""Lanes keep every entity's order; figures add up what was answered."""

from __future__ import annotations

import io
import random
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import rules as rules_package
from features.event_types import EVENT_TYPES
from rules.reasons import Reasons
from rules.ruleset import RuleSet
from training.labelled import Json, Labelled
from training.replay.client import Reply
from training.replay.figures import OUTCOMES, Figures
from training.replay.lanes import Entities, in_lanes
from training.replay.tables import show
from training.simulator.stream import Traffic, simulate

PACKS = Path(rules_package.__file__).parent / "packs"
RULES = """\
Rules that hit
false  of honest      honest
rule  caught  alarms     events  people hit
───────────────────────────────────────────
r-1        1       0      0.00%   0 (0.00%)

Rules that would have hit (shadow or
stopped: they change no outcome)
abusive  honest  of honest      honest
rule   events  events     events  people hit
────────────────────────────────────────────
r-1         0       1     50.00%  1 (50.00%)
r-2         0       1     50.00%  1 (50.00%)
"""
UNTIL = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def stream() -> list[Labelled]:
    return list(simulate(Traffic(400, 3, UNTIL - timedelta(hours=20), UNTIL)))


def test_lanes_keep_the_order_of_every_entity(stream: list[Labelled]) -> None:
    """However long single answers take, no entity meets its events out of order."""
    entities, lock, pauses = Entities(), threading.Lock(), random.Random(1)
    met: dict[tuple[str, str], list[str]] = defaultdict(list)
    most = under_way = 0

    def send(event: Json) -> str:
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
            for entity in entities.of(event):
                met[entity].append(event["event_id"])
            pause = pauses.random() * 0.004
        time.sleep(pause)
        with lock:
            under_way -= 1
        return str(event["event_id"])

    results = list(in_lanes(stream, send, 8))
    assert [result for _, result in results] == [item.event["event_id"] for item in stream]
    assert 1 < most <= 8
    expected = defaultdict(list)
    for item in stream:
        for entity in entities.of(item.event):
            expected[entity].append(item.event["event_id"])
    assert met == expected


def test_aliases_of_a_mailbox_are_one_entity() -> None:
    """The service's own normalisation decides what is shared."""
    entities = Entities()

    def mailbox(email: str) -> set[tuple[str, str]]:
        event = {
            "event_id": "e",
            "type": "signup",
            "occurred_at": "2026-01-01T00:00:00Z",
            "user": {"id": email, "email": email},
        }
        return {entity for entity in entities.of(event) if entity[0] == "email"}

    assert mailbox("l.i+1@gmail.com") == mailbox("li@gmail.com") != set()


def test_an_error_in_a_lane_ends_the_replay(stream: list[Labelled]) -> None:
    """What one lane raises is raised, after the results of the events before it."""
    bad = stream[20].event["event_id"]

    def send(event: Json) -> str:
        if event["event_id"] == bad:
            raise ValueError(bad)
        return str(event["event_id"])

    seen: list[str] = []

    def replay() -> None:
        seen.extend(item.event["event_id"] for item, _ in in_lanes(stream, send, 4))

    with pytest.raises(ValueError, match=bad):
        replay()
    assert seen == [item.event["event_id"] for item in stream[:20]]


def hit(rule: str, outcome: str, mode: str = "live") -> Json:
    return {"rule_id": rule, "status": "hit", "outcome": outcome, "mode": mode}


def reply(outcome: str, score: float | None, *rules: str, **more: Any) -> Reply:
    body = {
        "outcome": outcome,
        "score": score,
        "reasons": [{"code": "A_REASON"}] if outcome != "approve" else [],
        "rule_hits": [hit(rule, outcome) for rule in rules],
        "degraded": [],
    }
    return Reply({**body, **more}, 0.002)


def login(user: str, label: int | None) -> Labelled:
    return Labelled({"type": "login", "user": {"id": user}}, label, "story")


def test_figures_of_labelled_events() -> None:
    """Caught, missed and false alarms, of events and of people, for each rule and in all."""
    figures = Figures("x")
    figures.add(login("bad", 1), reply("decline", 0.9, "r-1", "r-2"))
    figures.add(login("bad", 1), reply("approve", 0.4))
    figures.add(login("good", 0), reply("challenge", 0.5, "r-1"))
    figures.add(login("good", 0), reply("approve", 0.1))
    figures.add(login("fine", 0), reply("approve", 0.2))
    report = figures.as_json()
    assert (report["abusive"]["events"], report["abusive"]["stopped"]) == (2, 1)
    assert (report["honest"]["events"], report["honest"]["stopped"]) == (3, 1)
    assert (report["honest"]["people"], report["honest"]["people_stopped"]) == (2, 1)
    assert report["rules"]["r-1"] == {
        "honest_events": 1,
        "honest_event_share": pytest.approx(1 / 3, abs=1e-6),
        "honest_people": 1,
        "honest_people_share": 0.5,
        "abusive_events": 1,
    }
    assert report["caught_by_scenario"] == {"story": {"events": 2, "caught": 1}}
    assert report["score"]["auc"] == pytest.approx(5 / 6, abs=1e-4)
    assert report["types"]["login"]["outcomes"] == {"approve": 3, "challenge": 1, "decline": 1}


def test_figures_without_labels_count_everybody_as_honest() -> None:
    """No caught, no AUC: only how often honest people were stopped."""
    figures = Figures("x")
    figures.add(login("a", None), reply("review", None, "r-1", degraded=["model"]))
    figures.add(login("b", None), reply("approve", 0.2))
    report = figures.as_json()
    assert "abusive" not in report
    assert report["honest"]["stopped_share"] == 0.5
    assert "abusive_events" not in report["rules"]["r-1"]
    assert report["degraded"] == {"model": 1}


def test_unknown_hits_are_no_hits() -> None:
    """A rule that could not be known is neither a catch nor a false alarm."""
    unknown = [{**hit("r-1", "review"), "status": "unknown"}]
    figures = Figures("x")
    figures.add(login("a", 0), reply("approve", 0.1, rule_hits=unknown))
    assert figures.as_json()["rules"] == {}


def test_tables_show_types_rules_and_totals() -> None:
    """What people read holds the figures."""
    figures = Figures("x")
    figures.add(login("bad", 1), reply("decline", 0.9, "r-1"))
    figures.add(login("good", 0), reply("approve", 0.1))
    console = Console(width=140, record=True, quiet=False, file=None, stderr=True)
    show(console, figures)
    text = console.export_text()
    for part in ("login", "A_REASON 1", "r-1", "caught 1 (100.0%)", "AUC 1.000", "story 1/1"):
        assert part in text


def test_rules_that_only_watch_alarm_nobody() -> None:
    """A hit in shadow, or of a stopped rule, is no false alarm: it has a table that says so."""
    figures = Figures("x")
    figures.add(login("bad", 1), reply("decline", 0.9, "r-1"))
    watched = [hit("r-2", "review", "shadow"), hit("r-1", "decline", "stopped")]
    figures.add(login("good", 0), reply("approve", 0.1, rule_hits=watched))
    figures.add(login("fine", 0), reply("approve", 0.1))
    report = figures.as_json()
    assert report["rules"]["r-1"]["honest_events"] == 0
    assert list(report["rules"]) == ["r-1"]
    assert list(report["rules_without_effect"]) == ["r-1", "r-2"]
    assert report["rules_without_effect"]["r-2"]["honest_people_share"] == 0.5
    console = Console(width=80, record=True, file=io.StringIO())
    show(console, figures)
    assert RULES in "\n".join(map(str.strip, console.export_text().splitlines()))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_tables_are_never_cut(width: int) -> None:
    """The longest names and large figures are there in whole, on a narrow terminal as well."""
    codes = list(Reasons.load(PACKS.with_name("reasons.yaml")).texts)
    rules = [rule.id for rule in RuleSet.load(PACKS).rules]
    figures = Figures("a data set with a name")
    for kind in EVENT_TYPES:
        row = figures.types[kind]
        row.seconds = [0.0123] * 200_000 + [1.23456] * 34_567
        row.outcomes.update(dict.fromkeys(OUTCOMES, 123_456))
        row.reasons.update({code: 100_000 + len(code) for code in codes})
    figures.total[0].events = 1_234_567
    figures.total[0].people.update(map(str, range(46_857)))
    for rule in [*rules, *rules]:
        good, bad = (figures.rules if rule not in figures.rules else figures.watching)[rule]
        good.events, bad.events = 1_234_567, 123_456
        good.people = set(map(str, range(10_000)))
    figures.is_labelled = True
    console = Console(width=width, record=True, file=io.StringIO())
    show(console, figures)
    text = console.export_text()
    assert "…" not in text
    longest = max(codes, key=len)
    for part in (*EVENT_TYPES, *rules, longest, "12.30", "1234.56", "10000 (21.34%)"):
        assert part in text
    for line in text.splitlines():
        assert len(line.rstrip()) <= width
    of_login = next(line for line in text.splitlines() if line.startswith("login"))
    assert of_login.split()[:6] == ["login", "234567", *["123456"] * 4]
