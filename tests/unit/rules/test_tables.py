"""Decision tables: what cells, files and rows become."""

from __future__ import annotations

import pytest

from rules.check import check_files, examples_of
from rules.decision import Outcome
from rules.errors import RuleSetInvalid
from rules.ruling import Ruling
from rules.table_cells import CellRefused, read_cell
from rules.tuning import set_parameter
from tests.rule_files import FACT_TYPES, rule_files

TABLE = """\
owner: tests
tables:
  - id: orders
    description: Orders of a week by channel.
    event_types: [checkout]
    regions: [east]
    when: has_user  # a table asks once for what all rows need
    parameters:
      few: {type: int, value: -3, min: -9, max: 9}
    file: orders.csv
    outcome: challenge
    reason: COUPON_TOO_MANY
    step_up: captcha
    delay_seconds: 5
    threshold: {source: a, false_alarms: b}
    examples:
      - expect: flash
        facts: {event.region: east, has_user: true, order.channel: flash, user_orders_7d: 1}
      - expect: others-many
        facts: {event.region: east, has_user: true, order.channel: x, user_orders_7d: 9}
      - {expect: no_hit, facts: {}}
      - expect: unknown
        facts: {event.region: east, has_user: true}
"""
ROWS = (
    "\ufeffrow , order.channel , user_orders_7d,outcome,reason,delay_seconds\r\n"
    "# by hand\r\n\r\n"
    'flash,"flash",>= {{ few }},,,7\r\n'
    "flash-few,flash,< {{ few }},none,,\r\n"
    'others,"not in flash, ""b""",<= 3,none,,\r\n'
    '"others-many","not in flash, b",> 3,review,RETURN_TOO_MANY,\r\n'
    "b,b,-,decline,,"
)


def test_a_table_from_a_file_is_right() -> None:
    """Byte order mark, comments, quotes and Windows line ends are read; examples are answered."""
    files = rule_files(TABLE, orders=ROWS)
    assert check_files(files, FACT_TYPES, event_types=("checkout",)) == []
    runs = examples_of(files, FACT_TYPES)
    assert [(run.subject, run.answer, run.is_passed) for run in runs] == [
        ("orders", "flash", True),
        ("orders", "others-many", True),
        ("orders", "no_hit", True),
        ("orders", "unknown", True),
    ]


def test_each_row_is_a_rule() -> None:
    """A row answers by its own cells, else by the table's keys; a row with none makes no rule."""
    rules = {
        rule.id: rule
        for rule in Ruling.load(rule_files(TABLE, orders=ROWS), FACT_TYPES).engine.ruleset.rules
    }
    assert sorted(rules) == ["orders-b", "orders-flash", "orders-others-many"]
    flash, others = rules["orders-flash"], rules["orders-others-many"]
    assert (flash.outcome, flash.reason, flash.step_up, flash.delay_seconds) == (
        Outcome.CHALLENGE, "COUPON_TOO_MANY", "captcha", 7,
    )  # fmt: skip
    assert (others.outcome, others.reason, others.step_up, others.delay_seconds) == (
        Outcome.REVIEW, "RETURN_TOO_MANY", None, 0,
    )  # fmt: skip
    assert {rule.made_by for rule in rules.values()} == {"orders"}
    assert flash.when == (
        'known.event.region && event.region in ["east"] && '
        '((has_user) && order.channel == "flash" && user_orders_7d >= (-3))'
    )
    assert others.regions == ("east",)


def test_a_table_has_tunable_cells() -> None:
    """A parameter of a table is found by the table's id and by its rows'."""
    files = set_parameter(rule_files(TABLE, orders=ROWS), "orders", "few", 2)
    rules = Ruling.load(files, FACT_TYPES).engine.ruleset.rules
    assert {rule.id for rule in rules if rule.parameters} == {"orders-flash"}
    assert set_parameter(files, "orders-flash", "few", 2).version == files.version
    ruling = Ruling.load(files, FACT_TYPES)
    facts = {"event.region": "east", "has_user": True, "order.channel": "flash"}
    assert ruling.engine.evaluate("checkout", {**facts, "user_orders_7d": 1}) == []
    assert len(ruling.engine.evaluate("checkout", {**facts, "user_orders_7d": 2})) == 1


def test_rows_that_may_hit_together() -> None:
    """With `hit_policy: collect` an example expects all rows that hit."""
    pack = TABLE.replace(
        "    file:", "    hit_policy: collect\n    gaps: allowed\n    file:"
    ).replace("expect: flash\n", "expect: flash, many\n")
    rows = (
        "row,order.channel,user_orders_7d\nflash,flash,-\nmany,-,> {{ few }}\nothers-many,x,> 0\n"
    )
    problems = check_files(rule_files(pack, orders=rows), FACT_TYPES, event_types=("checkout",))
    assert [each.message for each in problems] == [
        "the example expects others-many, the table answers many, others-many"
    ]


@pytest.mark.parametrize(
    ("text", "cel"),
    [
        (">= 3", "{} >= 3"),
        ("!= 0.5", "{} != 0.5"),
        ("= x y", '{} == "x y"'),
        ("(-1.5..2.0]", "{} > (-1.5) && {} <= 2.0"),
        ('"3"', '{} == "3"'),
        ("in 秒杀, b c", '{} in ["秒杀", "b c"]'),
        ("not in 1, 2", "!({} in [1, 2])"),
        ("true", "{}"),
        ("!= true", "!{}"),
        ("false", "!{}"),
        ('"{}"', '{} == "{\\u007d"'),
    ],
)
def test_cells(text: str, cel: str) -> None:
    """Each form of a cell is one CEL question."""
    cell = read_cell(text)
    assert cell is not None
    assert cell.cel == cel


@pytest.mark.parametrize(
    "text",
    [
        ">",
        "> true",
        "[1..",
        "[1..2.0]",
        "in",
        "not in",
        "in a,",
        'in a, 1, "b"',
        "a, b",
        "1e999",
        '"\\x"',
    ],
)
def test_cells_that_mean_nothing(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(CellRefused):
        read_cell(text)


def test_loading_refuses_a_table_without_its_file() -> None:
    """A rule set is its files: a table that is not there is no table."""
    with pytest.raises(RuleSetInvalid, match=r"there is no table 'orders\.csv'"):
        Ruling.load(rule_files(TABLE), FACT_TYPES)
