"""Rules mined from history: what was planted is found, what is known is not said again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from features.catalog import Catalog
from rules.decision import HitStatus, Outcome
from rules.engine import Engine
from rules.files import RuleSetFiles
from rules.rule import Rule, Threshold
from rules.ruleset import RuleSet
from service.backtest.case import Case
from service.rule_sets.checked import diagnostics
from service.rule_sets.parts import read_rules
from tests.unit.training.suggest.past_cases import SECRET_TAG, cases, some_shipped
from training.suggest.conditions import Column, Condition, Conjunction
from training.suggest.draft import PACK, Found, entries_of, faults, pack_of, without_fault
from training.suggest.mine import mine
from training.suggest.presence import with_parts
from training.suggest.rank import Figures, Wanted, jaccard, rank
from training.suggest.table import Reading, Table


@cache
def catalog() -> Catalog:
    return Catalog.load()


def rule(name: str, when: str) -> Rule:
    return Rule(
        id=name,
        description="",
        owner="",
        event_types=("checkout",),
        when=when,
        outcome=Outcome.REVIEW,
        reason="R",
        threshold=Threshold("", ""),
    )


def table(found: Sequence[Case], *live: Rule, exclude: Sequence[str] = ()) -> Table:
    engine = Engine(RuleSet.of(live), catalog().fact_types)
    reading = Reading("checkout", catalog().fact_types, engine, frozenset(exclude))
    reading.add(found)
    return reading.table()


def suggested(found: Sequence[Case], *live: Rule, **wanted: float) -> Found:
    earlier, later = table(found, *live).split(0.3)
    least = Wanted(min_recall=wanted.get("min_recall", 0.3))
    return Found(rank(mine(earlier), earlier, later, least), earlier, later)


def test_what_was_planted_is_found() -> None:
    """The best suggestion is the planted rule, with thresholds that tell the same events apart."""
    ranked, _, later = suggested(cases())
    best = ranked.suggestions[0]
    assert set(best.conjunction.facts) >= {"device_signups_24h", "order.amount_base_minor"}
    planted = Conjunction.of(
        [
            Condition(Column("device_signups_24h", "int"), ">=", 3),
            Condition(Column("order.amount_base_minor", "int"), ">=", 50_001),
        ]
    )
    assert jaccard(later.holds(best.conjunction), later.holds(planted)) > 0.9
    assert best.later.precision > 0.85
    low, high = best.later.precision_interval
    assert low < best.later.precision < high
    assert best.adds == best.later.caught


def test_figures_are_those_of_later_events() -> None:
    """A pattern that turned into its opposite is not suggested, however well it did before."""
    assert suggested(cases()).ranked.suggestions
    turned = suggested(cases(flip_later=True)).ranked
    assert turned.mined > 0
    for one in turned.suggestions:
        assert "device_signups_24h >= 3" not in one.conjunction.cel()
    earlier, later = table(cases()).split(0.3)
    assert earlier.times.max() < later.times.min()


def test_what_a_live_rule_says_is_not_said_again() -> None:
    """A candidate that hits what a live rule hits is left out and counted for that rule."""
    known = "has_device && device_signups_24h >= 3 && order.amount_base_minor > 50000"
    ranked = suggested(cases(), rule("known-one", known)).ranked
    assert ranked.known_already["known-one"] >= 1
    assert all(one.overlap < 0.7 for one in ranked.suggestions)
    # A rule that lets through catches nothing, and one that hits others is no hindrance.
    other = suggested(cases(), rule("other-one", "order.channel == 'live'")).ranked
    assert not other.known_already
    assert other.suggestions


def test_suggestions_differ_from_each_other() -> None:
    """No two suggestions hit nearly the same of the events that they were chosen on."""
    ranked, earlier, _ = suggested(cases(), min_recall=0.05)
    hits = [earlier.holds(one.conjunction) for one in ranked.suggestions]
    assert len(hits) > 1
    for number, hit in enumerate(hits):
        assert all(jaccard(hit, other) < 0.7 for other in hits[:number])


def test_events_without_a_label_teach_nothing() -> None:
    """An event without a label is in no table, and never an honest one."""
    some = cases(600)
    unlabelled = [one._replace(label=None) for one in cases(600, seed=2)]
    assert table([*some, *unlabelled]).rows == len(some)


def test_the_same_history_gives_the_same_rules() -> None:
    """Mining is repeatable."""
    first, second = (suggested(cases(1_500)).ranked for _ in range(2))
    assert first == second


def test_a_condition_is_what_its_cel_says() -> None:
    """On every event a conjunction holds exactly where the engine finds its CEL to be a hit."""
    found = cases(800)
    whole = table(found)
    for conjunction in sorted(mine(whole))[:60]:
        engine = Engine(RuleSet.of([rule("r", conjunction.cel())]), catalog().fact_types)
        said = []
        for one in found:
            hits = engine.evaluate("checkout", with_parts(one.facts, catalog().fact_types))
            assert [hit.status for hit in hits] in ([], [HitStatus.HIT])
            said.append(bool(hits))
        assert np.array_equal(np.array(said), whole.holds(conjunction)), conjunction.cel()


def test_a_draft_joins_the_live_rules() -> None:
    """What is printed passes the check, each example is answered as it says, no tag is in it."""
    files = some_shipped("coupon_abuse")
    live = list(read_rules(files).values())
    found = suggested(cases(), min_recall=0.05)
    entries = entries_of([found], live)
    assert len(entries) == len(found.ranked.suggestions) > 1
    text = pack_of(entries.values())
    assert faults(text, files, catalog()) == []
    joined = RuleSetFiles.of({**files.texts, PACK: text})
    _, problems = diagnostics(joined, catalog(), None)
    assert not any(one.is_error for one in problems)
    drafted = [one for one in read_rules(joined).values() if one.id in entries]
    assert {one.mode for one in drafted} == {"shadow"}
    assert all(one.parameters for one in drafted if ">=" in one.when or "<=" in one.when)
    assert all({e.expect for e in one.examples} == {"hit", "no_hit"} for one in drafted)
    assert SECRET_TAG not in text


def test_a_draft_that_would_not_pass_is_left_out() -> None:
    """An entry with a fault is dropped, with its reason, and the others stay."""
    files = some_shipped("coupon_abuse")
    entries = entries_of([suggested(cases())], list(read_rules(files).values()))
    broken = next(iter(entries.values())).replace("device_signups_24h >=", "device_signups >=")
    broken = broken.replace("- id: checkout-", "- id: broken-checkout-")
    kept, wrong = without_fault({**entries, "broken": broken}, files, catalog())
    assert kept.keys() == entries.keys()
    assert any("device_signups" in one for one in wrong)


@pytest.mark.parametrize("fact", ["payment.bin", "event.type", "has_device"])
def test_some_facts_are_never_mined(fact: str) -> None:
    """What is a part of a card number, or says nothing by itself, is no column."""
    found = [
        one._replace(facts={**one.facts, "payment.bin": str(400000 + at % 3)})
        for at, one in enumerate(cases(300))
    ]
    assert fact not in {column.fact for column in table(found).columns}
    excluded = table(found, exclude=["device_signups_24h"])
    assert "device_signups_24h" not in {column.fact for column in excluded.columns}


def test_nothing_is_mined_from_one_class() -> None:
    """Without abuse, or with nothing else, there are no candidates."""
    honest = [one._replace(label=0) for one in cases(300)]
    assert mine(table(honest)) == set()
    assert mine(table([one._replace(label=1) for one in honest])) == set()
    assert Figures(0, 0, 0, 0).precision_interval == (0.0, 1.0)
