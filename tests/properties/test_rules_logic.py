"""What the check says of conditions and tables, against trying every event."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.check import check_files
from rules.decision import HitStatus
from rules.engine import Engine
from rules.pack import read_packs
from rules.ruleset import RuleSet
from rules.table_check import check_table
from tests.rule_files import rule_files

FACT_TYPES = {
    "event.type": "string",
    "has_user": "bool",
    "orders": "int",
    "share": "double",
    "order.channel": "string",
}
# A condition's own numbers are 1 to 3 and 0.5, so these are all the cases that it can tell apart.
EVENTS: list[dict[str, Any]] = [
    {
        "event.type": "checkout",
        "has_user": has_user,
        "orders": orders,
        "share": share,
        "order.channel": channel,
    }
    for has_user, orders, share, channel in product(
        (True, False), range(5), (0.4, 0.5, 0.6), ("a", "b", "c")
    )
]
SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
QUESTIONS = st.one_of(
    st.sampled_from(
        [
            "has_user",
            'order.channel in ["a", "b"]',
            "orders in [1, 3]",
            'order.channel.startsWith("a")',
            'order.channel == "b"',
            '"a" != order.channel',
            "orders * 2 > 4",
            "true",
            "has_user == false",
        ]
    ),
    st.builds("orders {} {}".format, SIGNS, st.integers(1, 3)),
    st.builds("{} {} orders".format, st.integers(1, 3), SIGNS),
    st.builds("share {} 0.5".format, SIGNS),
)


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} && {})".format, parts, parts),
        st.builds("({} || {})".format, parts, parts),
        st.builds("!({})".format, parts),
        st.builds("({} ? {} : {})".format, parts, parts, parts),
    )


CONDITIONS = st.recursive(QUESTIONS, joined, max_leaves=6)


def pack(*conditions: str) -> str:
    rules = "".join(
        f"""
  - id: rule-{number}
    description: A rule.
    event_types: [checkout]
    when: |
      {condition}
    outcome: review
    reason: COUPON_TOO_MANY
    threshold: {{source: a, false_alarms: b}}"""
        for number, condition in enumerate(conditions)
    )
    return f"owner: tests\nrules:{rules}\n"


def hits(text: str, tables: dict[str, str] | None = None) -> list[set[str]]:
    """Return the rules that hit each of all events."""
    engine = Engine(RuleSet.parse({"a.yaml": text}, tables), FACT_TYPES)
    return [
        {hit.rule_id for hit in engine.evaluate("checkout", facts) if hit.status is HitStatus.HIT}
        for facts in EVENTS
    ]


def found(text: str) -> dict[tuple[str, int], str]:
    """Return what the check says of conditions, by code and line."""
    problems = check_files(rule_files(text), FACT_TYPES, event_types=("checkout",))
    codes = ("never-hits", "always-hits", "duplicate-condition", "no-effect", "cel")
    return {
        (each.code, each.line): each.message for each in problems if each.code.startswith(codes)
    }


@settings(max_examples=300, deadline=None)
@given(first=CONDITIONS, second=CONDITIONS)
def test_what_is_said_of_conditions_is_true(first: str, second: str) -> None:
    """A rule that never hits hits nothing, one that always hits hits all, and so on for pairs."""
    text = pack(first, second)
    said = found(text)
    lines = {7: "rule-0", 15: "rule-1"}
    everywhere = hits(text)
    counts = {name: sum(name in each for each in everywhere) for name in lines.values()}
    for line, name in lines.items():
        is_told = ("never-hits", line) in said
        # Of a function the check knows only that it is true or false.
        if "startsWith" not in text and "*" not in text and counts[name] == 0:
            assert is_told
    for (code, line), message in said.items():
        name = lines[line]
        other = "rule-1" if name == "rule-0" else "rule-0"
        if code == "never-hits":
            assert counts[name] == 0 or "alternative" in message
        elif code == "always-hits":
            assert counts[name] == len(EVENTS)
        elif code == "duplicate-condition":
            assert all((name in each) == (other in each) for each in everywhere)
        elif code == "no-effect":
            assert all(other in each for each in everywhere if name in each)
        else:
            raise AssertionError(message)


NUMBER_CELLS = st.one_of(
    st.sampled_from(["-", "< 2", ">= 2", "[1..2]", "(1..3)", "3", "in 1, 3", "not in 1", "!= 2"]),
    st.builds("{} {}".format, SIGNS, st.integers(1, 3)),
)
TEXT_CELLS = st.sampled_from(["-", "a", "b", "in a, b", "not in a, b", "!= a"])
BOOL_CELLS = st.sampled_from(["-", "true", "false"])
ROWS = st.lists(st.tuples(NUMBER_CELLS, TEXT_CELLS, BOOL_CELLS), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_tables_overlap_and_have_gaps_where_it_is_said(rows: list[tuple[str, str, str]]) -> None:
    """Two rows hit one event just where an overlap is told, none hits just where a gap is told."""
    lines = [f'r{number},"{a}","{b}",{c}' for number, (a, b, c) in enumerate(rows)]
    tables = {"t.csv": "\n".join(["row,orders,order.channel,has_user", *lines])}
    text = """
tables:
  - id: t
    description: A table.
    event_types: [checkout]
    file: t.csv
    outcome: review
    reason: COUPON_TOO_MANY
    threshold: {source: a, false_alarms: b}
    examples: [{expect: r0, facts: {}}]
"""
    (table,) = read_packs({"a.yaml": text}, tables).tables
    codes = {problem.code for problem in check_table(table)}
    counts = [len(each) for each in hits(text, tables)]
    assert ("table-overlap" in codes) == any(count > 1 for count in counts)
    assert ("table-gap" in codes) == any(count == 0 for count in counts)
