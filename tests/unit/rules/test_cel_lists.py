"""Lists in expressions: asked as written, evaluated as facts."""

from __future__ import annotations

import pytest

from rules.cel import Language
from rules.decision import HitStatus, Outcome
from rules.engine import Engine
from rules.listed import Listed
from rules.rule import Rule, Threshold
from rules.ruleset import RuleSet

FACTS = {"has_device": "bool", "orders": "int"}
STOLEN = 'in_list("stolen_devices", "device")'


def engine(*expressions: str) -> Engine:
    rules = [
        Rule(
            id=f"r-{index}",
            description="",
            owner="",
            event_types=("order",),
            when=when,
            outcome=Outcome.REVIEW,
            reason="R",
            threshold=Threshold("", ""),
        )
        for index, when in enumerate(expressions)
    ]
    return Engine(RuleSet.of(rules), FACTS)


def test_an_engine_knows_its_lists() -> None:
    """Every list that a running rule asks about is known once, in order."""
    made = engine(f"{STOLEN} || in_list('vip', 'user')", f"!{STOLEN} && orders > 1")
    assert made.listed == (Listed("stolen_devices", "device"), Listed("vip", "user"))


def test_a_list_is_a_fact() -> None:
    """A rule follows the fact of its list, and is unknown where that is not known."""
    made = engine(f"has_device && {STOLEN}")
    fact = Listed("stolen_devices", "device").fact
    for _ in range(100):  # one by one, then as a list
        assert [hit.status for hit in made.evaluate("order", {"has_device": True, fact: True})] == [
            HitStatus.HIT
        ]
        assert made.evaluate("order", {"has_device": True, fact: False}) == []
        assert [hit.status for hit in made.evaluate("order", {"has_device": True})] == [
            HitStatus.UNKNOWN
        ]
        assert made.evaluate("order", {"has_device": False}) == []


def test_a_variable_hides_no_list() -> None:
    """A comprehension may name its variable `list`."""
    made = engine(f"[1, 2].exists(list, list == orders && {STOLEN})")
    hits = made.evaluate("order", {"orders": 2, "list.stolen_devices.device": True})
    assert [hit.status for hit in hits] == [HitStatus.HIT]


@pytest.mark.parametrize(
    ("source", "column", "said"),
    [
        ("orders > 1 && in_list(device)", 15, "two texts written out"),
        ('in_list("vip")', 1, "two texts written out"),
        ('has_device || in_list("Vip", "user")', 24, "'Vip' cannot be the name"),
        ("in_list('vip', 'a user')", 17, "'a user' cannot be the name"),
        ("list.vip.user", 1, "no name that a rule may use"),
        ('in_list("vip", "user") > 1', 24, "does not take bool and int"),
        ('in_lost("vip", "user")', 1, "unknown function 'in_lost'"),
        (f"{STOLEN} && ordrs > 1", 40, "unknown name 'ordrs'"),
        ('"in_list(1)" == in_list("vip", "user")', 14, "does not take string and bool"),
    ],
)
def test_what_is_wrong_is_shown_where_it_is(source: str, column: int, said: str) -> None:
    """A wrong question is reported at its place in the text as written."""
    _, problems = Language(FACTS).compile(source)
    assert [(problem.line, problem.column) for problem in problems] == [(1, column)]
    assert said in problems[0].message


def test_texts_and_comments_ask_nothing() -> None:
    """What stands in a text or a comment is no question."""
    language = Language(FACTS)
    expression, problems = language.compile('"in_list(\'a\', \'b\')" != "" // in_list("c", "d")')
    assert not problems
    assert expression is not None
    assert language.listed == ()
