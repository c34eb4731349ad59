"""The fast engine against the plain one, on facts of every kind, right and wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.cel import Language
from rules.decision import HitStatus, Outcome, RuleHit
from rules.engine import Engine
from rules.rule import Rule, Threshold
from rules.ruleset import RuleSet

FACT_TYPES = {
    "has_user": "bool",
    "device.is_emulator": "bool",
    "user_orders_7d": "int",
    "user_returns_7d": "int",
    "user_share_7d": "double",
    "event_age_seconds": "double",
    "order.channel": "string",
}
LISTED = {"list.vip.user": "bool"}
EXPRESSIONS = (
    "has_user && user_orders_7d >= 3",
    "user_orders_7d > 1 || user_returns_7d > 1",
    "user_returns_7d * 10 / user_orders_7d >= 5",
    "user_orders_7d * 9000000000000000 > 5",
    "has_user && user_share_7d > 0.5 // no one's share",
    "known.event_age_seconds && event_age_seconds < 60.0",
    "!known.device.is_emulator",
    "known.device.is_emulator && device.is_emulator && user_orders_7d < 2",
    "order.channel == 'user_orders_7d' || order.channel.startsWith('f')",
    "int(order.channel) > user_orders_7d || order.channel.matches('^(fl|n)a?')",
    "in_list('vip', 'user') && user_orders_7d > 2",
    "!in_list('vip', 'user') || user_share_7d > 0.5",
    "order.channel in ['flash_sale', \"presale\"] && (has_user || user_orders_7d == 0)",
    "[1, 2, user_orders_7d].exists(x, x == user_returns_7d)",
    "double(user_orders_7d) > user_share_7d",
    "true",
    "false",
    "has_user ? user_orders_7d > 2 : user_returns_7d > 2",
)
START = datetime(2026, 11, 11, tzinfo=UTC)


def rule(index: int, when: str, **changes: Any) -> Rule:
    values: dict[str, Any] = {
        "id": f"r-{index:03d}",
        "description": "",
        "owner": "",
        "event_types": ("checkout",),
        "when": when,
        "outcome": Outcome.REVIEW,
        "reason": "R",
        "threshold": Threshold("", ""),
        **changes,
    }
    return Rule(**values)


RULES = [
    # Three of each, and so several lists; the last of the three sleeps for most of the time.
    *(rule(index, when) for index, when in enumerate(EXPRESSIONS)),
    *(
        rule(index + 30, f"({when}\n) && user_orders_7d != 1")
        for index, when in enumerate(EXPRESSIONS)
    ),
    *(
        rule(index + 60, when, valid_from=START + timedelta(hours=index % 3))
        for index, when in enumerate(EXPRESSIONS)
    ),
    rule(100, "true", mode="off"),
    rule(101, "user_orders_7d > 0", mode="shadow"),
    rule(102, "has_user", valid_from=START, valid_until=START + timedelta(days=1)),
    rule(103, "has_user", valid_from=START + timedelta(hours=12)),
]

STATED = {**FACT_TYPES, **LISTED}
NAMES = st.lists(st.sampled_from(sorted(STATED)), unique=True)
RIGHT = {
    "bool": st.booleans(),
    "int": st.one_of(st.integers(0, 9), st.integers(-(2**63), 2**63 - 1)),
    "double": st.one_of(st.floats(0, 1), st.floats(allow_nan=True), st.just(float("nan"))),
    "string": st.one_of(
        st.sampled_from(["flash_sale", "normal", "7", "", "x" * 1025]), st.text(max_size=9)
    ),
}
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=5),
    st.just("\ud800"),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


@st.composite
def some_facts(draw: st.DrawFn, wrong: bool, names: list[str] | None = None) -> dict[str, Any]:
    names = draw(NAMES) if names is None else names
    kinds = {name: RIGHT[STATED[name]] for name in names}
    if wrong:
        kinds = {name: st.one_of(kind, ANYTHING) for name, kind in kinds.items()}
    facts = {name: draw(kind) for name, kind in kinds.items()}
    return {**facts, "not_declared": 1}


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[dict[str, Any], int]]:
    """Events that mostly lack the same facts, each sent several times."""
    usual = draw(NAMES)
    names = st.one_of(st.just(usual), st.just(usual), NAMES)
    return [
        (draw(some_facts(wrong=False, names=draw(names))), draw(st.integers(1, 3)))
        for _ in range(draw(st.integers(1, 5)))
    ]


def results(hits: list[RuleHit]) -> dict[str, HitStatus]:
    return {hit.rule_id: hit.status for hit in hits}


def one_at_a_time(facts: Mapping[str, Any], at: datetime | None) -> dict[str, HitStatus]:
    """Evaluate each rule in an engine of its own, which sees one event only."""
    found: dict[str, HitStatus] = {}
    for each, engine in ALONE:
        if each.is_valid_at(at):
            found.update(results(engine.evaluate_one_by_one("checkout", facts)))
    return found


ALONE = [(each, Engine(RuleSet.of([each]), FACT_TYPES)) for each in RULES]


@settings(max_examples=300, deadline=None)
@given(
    stream=streams(),
    at=st.one_of(
        st.none(), st.sampled_from([START + timedelta(hours=h) for h in (-1, 0, 1, 2, 13, 30)])
    ),
)
def test_lists_answer_like_single_rules(
    stream: list[tuple[dict[str, Any], int]], at: datetime | None
) -> None:
    """However often a pattern of missing facts was met, the answer is that of the rules alone."""
    for facts, repeats in stream:
        expected = one_at_a_time(facts, at)
        for _ in range(repeats):
            hits = ENGINE.evaluate("checkout", facts, at)
            assert results(hits) == expected
            assert [hit.rule_id for hit in hits] == sorted(hit.rule_id for hit in hits)


@settings(max_examples=300, deadline=None)
@given(facts=some_facts(wrong=True), warm=some_facts(wrong=False))
def test_wrong_facts_are_never_raised_and_never_a_silent_no(
    facts: dict[str, Any], warm: dict[str, Any]
) -> None:
    """A fact of the wrong type makes its rules an error, alike on the fast and the plain way."""
    same = {name: warm.get(name, 1) for name in facts}
    for _ in range(2):
        ENGINE.evaluate("checkout", same)
    found = results(ENGINE.evaluate("checkout", facts))
    assert found == one_at_a_time(facts, None)
    if "has_user" in facts and type(facts["has_user"]) is not bool:
        assert found["r-102"] is HitStatus.ERROR


@settings(max_examples=200, deadline=None)
@given(event_type=ANYTHING, facts=ANYTHING, at=st.datetimes() | st.none())
def test_nothing_raises(event_type: Any, facts: Any, at: datetime | None) -> None:
    """Whatever is handed over instead of an event type and facts, no exception comes out."""
    assert ENGINE.evaluate(event_type, facts, at) == []
    for hit in ENGINE.evaluate("checkout", facts, at):
        assert hit.status in HitStatus


ENGINE = Engine(RuleSet.of(RULES), FACT_TYPES)


def test_every_list_compiles() -> None:
    """No rule keeps others from being evaluated as a list, whatever its expression ends with."""
    language = Language(FACT_TYPES)
    sources = [each.when for each in RULES]
    for source in sources:
        assert language.compile(source)[0] is not None
    for negation in ("", "!"):
        listed = language.compile_doubts(sources, negation)
        assert listed is not None
        assert listed.eval(language.activation({})).plain_value().count(True) >= len(sources) // 2
