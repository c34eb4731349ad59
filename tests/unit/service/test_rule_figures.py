"""Figures of rules: measured against the decisions in which they were asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from service.evidence.labelled import Labelled
from service.evidence.performance_report import RulePerformance
from service.evidence.rule_figures import figures_of
from service.evidence.rule_hours import HOUR, HourTally, RuleTally

LIVE, OLD = "b" * 64, "a" * 64
CHECKOUT = frozenset({"checkout"})
START = datetime(2026, 11, 1, tzinfo=UTC)
Hours = list[tuple[datetime, HourTally]]


def hours(*hits: int, decisions: int = 500, version: str = LIVE, **more: int) -> Hours:
    """One hour each, with so many hits of rule `r`."""
    found = []
    for number, count in enumerate(hits):
        rules = {"r": RuleTally(hits={"live": count}, **more)} if count or more else {}
        tally = HourTally({version: {"checkout": decisions, "login": 50}}, rules)
        found.append((START + HOUR * number, tally))
    return found


def figures(
    found: Hours, labelled: tuple[Labelled, ...] = (), recent: int = 1, **asked: frozenset[str]
) -> dict[str, RulePerformance]:
    """The figures by rule; the last `recent` hours are recent."""
    since = START + HOUR * (len(found) - recent)
    sets = {LIVE: asked or {"r": CHECKOUT}}
    return {one.rule_id: one for one in figures_of(found, labelled, sets, LIVE, (since, recent))}


def decided(
    *hits: str, abusive: bool, live: tuple[str, ...] | None = None, event_type: str = "checkout"
) -> Labelled:
    """A labelled decision about 100 in money."""
    in_force = frozenset(hits if live is None else live)
    at_ms = round(START.timestamp() * 1000)
    return Labelled(at_ms, event_type, LIVE, abusive, 100, frozenset(hits), in_force)


def test_a_rule_is_measured_against_the_decisions_of_its_types() -> None:
    """Logins do not count for a rule about checkouts."""
    found = figures(hours(5, 5))["r"]
    assert (found.hit_rate.count, found.hit_rate.of) == (10, 1000)
    assert [(day.evaluated, day.hits) for day in found.days] == [(1000, 10)]
    assert found.flags == []


def test_a_rule_is_not_measured_before_it_was_there() -> None:
    """Hours of a rule set without the rule are no hours of silence."""
    sets = {OLD: {"other": CHECKOUT}, LIVE: {"r": CHECKOUT}}
    found = [*hours(0, 0, version=OLD), (START + 2 * HOUR, hours(20)[0][1])]
    rules = {one.rule_id: one for one in figures_of(found, (), sets, LIVE, (START + 2 * HOUR, 1))}
    assert rules["r"].evaluated == 500
    assert rules["r"].drift.before.of == 0
    assert rules["r"].flags == []
    assert rules["other"].evaluated == 1000
    assert not rules["other"].is_live


def test_a_rule_that_went_silent_is_flagged() -> None:
    """Where five hits were to be expected and none came, something broke."""
    assert figures(hours(10, 12, 8, 0))["r"].flags == ["silent"]
    assert figures(hours(2, 3, 2, 0))["r"].flags == []
    assert figures(hours(10, 12, 8, 1))["r"].flags == []


def test_a_rule_that_suddenly_fires_is_flagged() -> None:
    """Three times as often as before, surely, and not just now and then."""
    found = figures(hours(4, 4, 4, 40))["r"]
    assert found.flags == ["sudden"]
    assert found.drift.ratio == 10
    assert found.drift.difference_low > 0
    assert figures(hours(4, 4, 4, 10))["r"].flags == []
    assert figures(hours(0, 0, 0, 9))["r"].flags == []
    assert figures(hours(0, 0, 0, 12))["r"].flags == ["sudden"]
    assert figures(hours(0, 40))["r"].flags == []  # 500 decisions before tell too little


def test_bursts_are_no_drift() -> None:
    """A rule that is silent most of the time, and then fires, did so before."""
    assert figures(hours(0, 60, 0, 0, 60, 0, 0, 0))["r"].flags == []
    assert figures(hours(0, 0, 40, 0, 0, 0, 0, 0, 40))["r"].flags == []
    assert figures(hours(0, 0, 40, 0, 0, 0, 0, 0, 60))["r"].flags == ["sudden"]


def test_a_stretch_is_as_long_as_the_recent_one() -> None:
    """With two recent hours the time before is looked at two by two."""
    found = figures(hours(0, 9, 9, 0, 0, 9, 0, 9, 0, 0), recent=2)["r"]
    assert (found.drift.recent.of, found.drift.before.of) == (1000, 4000)
    assert found.flags == ["silent"]


def test_rules_that_never_hit_or_are_never_known_are_flagged() -> None:
    """A rule of the live set that did nothing is in the report, too."""
    found = figures(hours(0, 0, 0), r=CHECKOUT, unused=CHECKOUT, other=frozenset({"signup"}))
    assert found["unused"].flags == ["never_hit"]
    assert found["unused"].last_hit_at is None
    assert found["other"].flags == []
    assert found["other"].evaluated == 0
    assert figures(hours(3, 3, unknown=200))["r"].flags == ["often_unknown"]


def test_labels_give_precision_recall_and_false_alarms() -> None:
    """Of hits, of all abuse of its types, of all honest events; alone: no other live rule hit."""
    labelled = (
        decided("r", abusive=True),
        decided("r", "s", abusive=True),
        decided("r", "s", abusive=True, live=("r",)),
        decided("r", abusive=False),
        decided(abusive=True),
        decided(abusive=False),
        decided(abusive=False),
        decided(abusive=True, event_type="login"),
    )
    found = figures(hours(4), labelled)["r"]
    assert (found.precision.count, found.precision.of) == (3, 4)
    assert (found.recall.count, found.recall.of) == (3, 4)
    assert (found.false_alarms.count, found.false_alarms.of) == (1, 3)
    assert found.caught_alone == 2
    assert (found.abusive_amount_minor, found.honest_amount_minor) == (300, 100)
    assert [(day.abusive, day.honest) for day in found.days] == [(3, 1)]
    assert 0 < found.precision.low < 0.75 < found.precision.high < 1


def test_what_needs_attention_comes_first() -> None:
    """Flags, then hits."""
    found = hours(10, 10, 10, 0)
    for _, tally in found:
        tally.rules["busy"] = RuleTally(hits={"live": 100})
        tally.rules["calm"] = RuleTally(hits={"shadow": 1})
    asked = {LIVE: dict.fromkeys(("r", "busy", "calm"), CHECKOUT)}
    rules = figures_of(found, (), asked, LIVE, (START + 3 * HOUR, 1))
    assert [one.rule_id for one in rules] == ["r", "busy", "calm"]
    assert rules[0].flags == ["silent"]
    assert rules[2].hits == {"shadow": 4}


def test_hits_of_a_rule_set_that_is_gone_still_count() -> None:
    """A set whose files are not known asked its rules at least when they hit."""
    found = figures_of(hours(7, version=OLD), (), {}, LIVE, (START + timedelta(days=1), 24))
    assert [(one.rule_id, one.hit_rate.count, one.evaluated) for one in found] == [("r", 7, 7)]
