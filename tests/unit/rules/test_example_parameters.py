"""Examples that move with a parameter: facts that are stated relative to one."""

from __future__ import annotations

from typing import Any

import pytest

from rules.check import check_files, render
from rules.diagnostic import Diagnostic
from rules.pack import read_packs
from rules.parameters import Value
from rules.ruleset import RuleSet
from rules.tuning import set_parameter
from tests.rule_files import FACT_TYPES, rule_files

PACK = """\
owner: tests
parameters:
  share: {type: double, value: 0.1, min: 0, max: 0.9}
rules:
  - id: many
    description: Many orders.
    event_types: [checkout]
    parameters:
      most: {type: int, value: 3, min: 1, max: 10}
      channel: {type: string, value: sale, one_of: [sale, presale]}
      strict: {type: bool, value: true}
    when: >-
      has_user && user_orders_7d >= {{ most }} && user_share_7d > {{ share }}
      && order.channel == {{ channel }} && has_user == {{ strict }}
    outcome: review
    reason: COUPON_TOO_MANY
    threshold: {source: a guess, false_alarms: unknown}
    examples:
      - expect: hit
        facts: {has_user: "{{ strict }}", user_orders_7d: "{{most}}",
                user_share_7d: "{{ share + 0.2 }}", order.channel: "{{ channel }}"}
      - expect: no_hit
        facts: {user_orders_7d: "{{ most -1 }}", has_user: true, user_share_7d: 0.9,
                order.channel: sale}
tables:
  - id: grid
    description: A table.
    event_types: [checkout]
    gaps: allowed
    parameters: {line: {type: int, value: 5, min: 1, max: 10}}
    columns: [row, user_orders_7d, outcome]
    rows: [[high, ">= {{ line }}", review]]
    reason: COUPON_TOO_MANY
    threshold: {source: a guess, false_alarms: unknown}
    examples:
      - {expect: high, facts: {user_orders_7d: "{{ line }}"}}
      - {expect: no_hit, facts: {user_orders_7d: "{{ line - 1 }}"}}
score_cards:
  - id: card
    description: A card.
    event_types: [checkout]
    parameters: {some: {type: int, value: 7, min: 1, max: 10}}
    items: [{when: "user_orders_7d > {{ some }}", weight: 2}, {when: has_user, weight: 1}]
    outcomes: {review: 2}
    reason: COUPON_TOO_MANY
    threshold: {source: a guess, false_alarms: unknown}
    examples:
      - {expect: review, facts: {user_orders_7d: "{{ some + 1 }}"}}
      - {expect: no_hit, facts: {user_orders_7d: "{{ some }}", has_user: true}}
"""


def problems_of(text: str) -> list[Diagnostic]:
    found = check_files(rule_files(text), FACT_TYPES, event_types=("checkout",))
    return [problem for problem in found if problem.is_error]


def with_fact(fact: str) -> str:
    return PACK.replace('user_orders_7d: "{{ most -1 }}"', f"user_orders_7d: {fact}")


@pytest.mark.parametrize(
    ("rule", "name", "value"),
    [
        ("many", "most", 3),
        ("many", "most", 1),
        ("many", "most", 10),
        ("many", "share", 0.3),
        ("many", "channel", "presale"),
        ("grid", "line", 9),
        ("card", "some", 2),
    ],
)
def test_examples_move_with_the_parameter(rule: str, name: str, value: Value) -> None:
    """Rules, tables and cards answer their examples whatever the value is."""
    files = set_parameter(rule_files(PACK), rule, name, value)
    found = check_files(files, FACT_TYPES, event_types=("checkout",))
    assert not [problem for problem in found if problem.is_error], render(found)


def test_facts_are_values() -> None:
    """A fact has the parameter's value and type; decimal numbers add as people add them."""
    example = read_packs({"a.yaml": PACK}).rules[0].examples[0]
    assert example.facts == {
        "has_user": True,
        "user_orders_7d": 3,
        "user_share_7d": 0.3,
        "order.channel": "sale",
    }
    assert example.facts["has_user"] is True


def test_equal_rules_stay_equal() -> None:
    """An example that says the value makes the same version as one that names the parameter."""
    assert (
        RuleSet.parse({"a.yaml": PACK}).version == RuleSet.parse({"a.yaml": with_fact("2")}).version
    )
    assert (
        RuleSet.parse({"a.yaml": PACK}).version != RuleSet.parse({"a.yaml": with_fact("1")}).version
    )


@pytest.mark.parametrize(
    ("fact", "column", "code", "told"),
    [
        ('"{{ mots }}"', 37, "no-parameter", "did you mean 'most'?"),
        ('"{{ line }}"', 37, "no-parameter", "declare it under 'parameters'"),
        ('"{{ most - 0.5 }}"', 42, "bad-placeholder", "'most' is a whole number, -0.5 is none"),
        ('"{{ channel + 1 }}"', 45, "bad-placeholder", "nothing can be added to 'channel'"),
        ('"{{ strict - 1 }}"', 44, "bad-placeholder", "which is true or false"),
        ('"{{ most * 2 }}"', 33, "bad-placeholder", "with a number added or taken away"),
        ('"{{ most }} of them"', 33, "bad-placeholder", "with a number added or taken away"),
        ("{{ most }}", 33, "bad-placeholder", "stands in quotes here"),
        ('"{{ share }}"', 33, "example-fact", "the parameter makes it 0.1"),
        ('"{{ channel }}"', 33, "example-fact", 'the parameter makes it "sale"'),
    ],
)
def test_what_means_nothing_is_told_once(fact: str, column: int, code: str, told: str) -> None:
    """One problem, where it stands, with what would be right; the example is not run."""
    text = with_fact(fact)
    (problem,) = problems_of(text)
    line = next(
        n for n, each in enumerate(text.splitlines(), 1) if f"user_orders_7d: {fact}" in each
    )
    assert (problem.line, problem.column, problem.code) == (line, column, code)
    assert told in problem.message + problem.hint


def test_a_text_with_brackets_stays_a_text() -> None:
    """What names no parameter is left as its author wrote it."""
    text = PACK.replace("order.channel: sale}", 'order.channel: "a {{ b }} c"}')
    assert not problems_of(text)
    example = read_packs({"a.yaml": text}).rules[0].examples[1]
    assert example.facts["order.channel"] == "a {{ b }} c"


@pytest.mark.parametrize(
    ("value", "is_right"), [(9223372036854775806, True), (9223372036854775807, False)]
)
def test_a_sum_fits_the_numbers_of_facts(value: Any, is_right: bool) -> None:
    """A sum of more than 64 bits is a problem, not a fact."""
    text = with_fact('"{{ most + 1 }}"').replace(
        "value: 3, min: 1, max: 10", f"value: {value}, min: 1, max: {value}"
    )
    codes = {problem.code for problem in problems_of(text)}
    assert ("bad-placeholder" in codes) is not is_right
