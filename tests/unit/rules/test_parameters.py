"""What can be tuned without touching an expression, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.check import check_files
from rules.decision import HitStatus
from rules.engine import Engine
from rules.errors import ParameterRefused, RuleSetInvalid
from rules.files import RuleSetFiles
from rules.parameters import Parameter
from rules.ruleset import RuleSet
from rules.ruling import Ruling
from rules.tuning import set_parameter, value_from
from tests.rule_files import FACT_TYPES, rule_files

PACK = """\
# Said by the author
owner: tests
parameters:
  share: {type: double, value: 0.5, min: 0, max: 1, description: of all orders}  # whole pack
rules:
  - id: many
    description: Many orders.
    event_types: [checkout]
    parameters:
      most:   {type: int, value: 3, min: 1, max: 10}   # asked for by Li
      channel: {type: string, value: 'flash_sale', one_of: [flash_sale, "秒杀", presale]}
      strict: {type: bool, value: true}
    when: >-
      has_user && user_orders_7d >= {{ most }} && user_share_7d > {{share}}
      && (order.channel == {{ channel }} || {{ strict }})
    outcome: review
    reason: COUPON_TOO_MANY
    threshold: {source: a guess, false_alarms: unknown}
    examples:
      - expect: hit
        facts: {has_user: true, user_orders_7d: 3, user_share_7d: 0.6, order.channel: x}
      - {expect: no_hit, facts: {}}
"""


def test_parameters_are_filled_in() -> None:
    """The engine evaluates the values; the rule tells which it has."""
    files = rule_files(PACK)
    assert check_files(files, FACT_TYPES, event_types=("checkout",)) == []
    ruling = Ruling.load(files, FACT_TYPES)
    (rule,) = ruling.engine.ruleset.rules
    assert rule.when == (
        "has_user && user_orders_7d >= 3 && user_share_7d > 0.5 "
        '&& (order.channel == "flash_sale" || true)'
    )
    assert [each.name for each in rule.parameters] == ["channel", "most", "share", "strict"]
    facts = {"has_user": True, "user_orders_7d": 3, "user_share_7d": 0.6, "order.channel": "x"}
    (hit,) = ruling.engine.evaluate("checkout", facts)
    assert hit.status is HitStatus.HIT


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("most", 4, "      most:   {type: int, value: 4, min: 1, max: 10}   # asked for by Li"),
        ("share", 1, "  share: {type: double, value: 1.0, min: 0, max: 1, description: of all "),
        ("channel", "秒杀", "      channel: {type: string, value: '秒杀', one_of: [flash_sale, "),
        ("strict", False, "      strict: {type: bool, value: false}"),
    ],
)
def test_only_the_value_changes(name: str, value: Any, line: str) -> None:
    """Comments, order and layout stay; the version is another one."""
    before = rule_files(PACK)
    after = set_parameter(before, "many", name, value)
    assert after.version != before.version
    old, new = PACK.splitlines(), after.packs["a.yaml"].splitlines()
    changed = [
        number for number, pair in enumerate(zip(old, new, strict=True)) if len(set(pair)) > 1
    ]
    assert len(changed) == 1
    assert new[changed[0]].startswith(line)
    assert RuleSet.parse(after.packs).version != RuleSet.parse(before.packs).version
    assert set_parameter(after, "many", name, value).version == after.version


@pytest.mark.parametrize(
    ("rule", "name", "value", "told"),
    [
        ("many", "most", 11, "must be from 1 to 10, not 11"),
        ("many", "most", 2.5, "must be a whole number"),
        ("many", "most", True, "must be a whole number"),
        ("many", "share", float("nan"), "must be a number"),
        ("many", "channel", "normal", 'must be one of "flash_sale", "秒杀", "presale"'),
        ("many", "channel", "a\nb", "must have no control characters"),
        ("many", "mots", 3, "did you mean 'most'"),
        ("mny", "most", 3, "did you mean 'many'"),
    ],
)
def test_what_is_out_of_bounds_is_refused(rule: str, name: str, value: Any, told: str) -> None:
    """A wrong value, parameter or rule is an error of its own, with what would be right."""
    with pytest.raises(ParameterRefused, match=told):
        set_parameter(rule_files(PACK), rule, name, value)


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_any_text_stays_one_literal(text: str) -> None:
    """Whatever a text value says, the expression compares with it and nothing else."""
    literal = Parameter("p", "string", text).literal
    engine = Engine(
        RuleSet.parse({"a.yaml": ANY.replace("LITERAL", literal)}), {"order.channel": "string"}
    )
    assert len(engine.evaluate("checkout", {"order.channel": text})) == 1
    assert engine.evaluate("checkout", {"order.channel": text + "x"}) == []


ANY = """
rules:
  - id: any
    description: Any.
    event_types: [checkout]
    when: |
      order.channel == LITERAL
    outcome: review
    reason: A
    threshold: {source: a, false_alarms: b}
"""


def test_a_value_typed_by_a_person() -> None:
    """The command line's words become values of the parameter's type."""
    assert value_from(Parameter("p", "bool", True), "False") is False
    assert value_from(Parameter("p", "int", 1), "7") == 7
    with pytest.raises(ParameterRefused, match="'p' must be a whole number"):
        value_from(Parameter("p", "int", 1), "7.5")


def test_columns_after_a_parameter_are_right() -> None:
    """A problem behind a filled-in value is shown where it stands in the file."""
    pack = PACK.replace("user_share_7d > {{share}}", "user_shar_7d > {{share}}")
    with pytest.raises(RuleSetInvalid) as raised:
        Ruling.load(rule_files(pack), FACT_TYPES)
    (found,) = raised.value.diagnostics
    assert found.source[found.column - 1 :].startswith("user_shar_7d")


def test_a_scope_is_no_hit_elsewhere() -> None:
    """A rule with a scope says nothing of events outside of it, even where a counter is missing."""
    scope = "    business_lines: [grocery, 生鲜]\n    regions: [east]\n"
    ruling = Ruling.load(
        rule_files(
            PACK.replace("    parameters:\n      most", scope + "    parameters:\n      most")
        ),
        FACT_TYPES,
    )
    run = ruling.engine.evaluate
    inside = {"event.business_line": "生鲜", "event.region": "east", "has_user": True}
    assert [hit.status.value for hit in run("checkout", inside)] == ["unknown"]
    assert run("checkout", {**inside, "event.region": "west"}) == []
    assert run("checkout", {"has_user": True}) == []
    assert ruling.engine.ruleset.rules[0].business_lines == ("grocery", "生鲜")


def test_a_version_written_is_the_version_read(tmp_path: Any) -> None:
    """What is set by a command is what a directory of it loads."""
    files = set_parameter(rule_files(PACK), "many", "most", 9)
    files.write(tmp_path)
    assert RuleSetFiles.load(tmp_path).version == files.version
