"""Versions, validity, and what the engine does with modes and times."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rules.decision import HitStatus, Outcome
from rules.engine import Engine
from rules.errors import RuleSetInvalid
from rules.ruleset import RuleSet

PACK = """
owner: tests
rules:
  - id: many-orders
    description: Many orders.
    event_types: [checkout]
    when: has_user && user_orders_7d >= 3
    outcome: challenge
    step_up: captcha
    delay_seconds: 5
    reason: RULE_A
    threshold: {source: a guess, false_alarms: unknown}
"""
FACT_TYPES = {"has_user": "bool", "user_orders_7d": "int", "order.channel": "string"}


def engine(pack: str) -> Engine:
    return Engine(RuleSet.parse({"a.yaml": pack}), FACT_TYPES)


def test_the_version_is_of_the_content() -> None:
    """Layout, comments, file and order do not change the version; any content does."""
    one = RuleSet.parse({"a.yaml": PACK})
    assert RuleSet.parse({"b.yaml": f"# a comment\n{PACK}"}).version == one.version
    assert RuleSet.parse({"a.yaml": PACK.replace(">= 3", ">= 4")}).version != one.version
    assert RuleSet.parse({"a.yaml": PACK.replace("a guess", "data")}).version != one.version
    assert len(one.version) == 64


def test_a_result_says_what_the_rule_asks_for() -> None:
    """A hit carries outcome, reason, step-up and delay, for the record must be complete."""
    (hit,) = engine(PACK).evaluate("checkout", {"has_user": True, "user_orders_7d": 3})
    assert (hit.rule_id, hit.status, hit.outcome) == (
        "many-orders",
        HitStatus.HIT,
        Outcome.CHALLENGE,
    )
    assert (hit.reason, hit.step_up, hit.delay_seconds) == ("RULE_A", "captcha", 5)


def test_status_by_what_is_known() -> None:
    """A missing fact is unknown, a wrong one an error, an absent part no hit."""
    run = engine(PACK).evaluate
    assert run("checkout", {"has_user": False}) == []
    assert run("signup", {"has_user": True}) == []
    assert run("checkout", {"has_user": True})[0].status is HitStatus.UNKNOWN
    assert run("checkout", {"has_user": True, "user_orders_7d": "3"})[0].status is HitStatus.ERROR


def test_validity_periods_are_half_open() -> None:
    """A rule counts from valid_from on and until just before valid_until; off never counts."""
    period = (
        "    valid_from: 2026-11-11T00:00:00+08:00\n    valid_until: 2026-11-12T00:00:00+08:00\n"
    )
    run = engine(PACK + period).evaluate
    facts = {"has_user": True, "user_orders_7d": 3}
    hours = {15: 0, 16: 1, 39: 1, 40: 0}  # of the 10th, in UTC
    for hour, count in hours.items():
        at = datetime(2026, 11, 10 + hour // 24, hour % 24, tzinfo=UTC)
        assert len(run("checkout", facts, at)) == count
        assert len(run("checkout", facts, at.replace(tzinfo=None))) == count
    assert len(run("checkout", facts)) == 1
    assert engine(PACK + "    mode: off\n").evaluate("checkout", facts) == []
    assert engine(PACK + "    mode: shadow\n").evaluate("checkout", facts)[0].mode == "shadow"


def test_known_tells_a_caller_who_says_nothing() -> None:
    """`known.<fact>` is true when the event states the fact; counters have none."""
    pack = PACK.replace("has_user && user_orders_7d >= 3", "known.order.channel && has_user")
    run = engine(pack).evaluate
    assert run("checkout", {"has_user": True}) == []
    assert len(run("checkout", {"has_user": True, "order.channel": "x"})) == 1
    with pytest.raises(RuleSetInvalid, match=r"unknown name 'known\.user_orders_7d'"):
        engine(pack.replace("order.channel", "user_orders_7d"))


def test_loading_refuses_what_the_check_would_report(tmp_path: Path) -> None:
    """Structure is refused at load, CEL when the engine is built, with file, line and column."""
    with pytest.raises(RuleSetInvalid, match=r"no \*\.yaml rule pack"):
        RuleSet.load(tmp_path)
    (tmp_path / "a.yaml").write_text(PACK.replace("outcome", "outcom"), encoding="utf-8")
    with pytest.raises(RuleSetInvalid, match=r"a\.yaml:8:5: unknown key 'outcom'"):
        RuleSet.load(tmp_path)
    with pytest.raises(RuleSetInvalid, match=r"a\.yaml:7:23: unknown name 'user_order_7d'"):
        engine(PACK.replace("user_orders_7d", "user_order_7d"))
