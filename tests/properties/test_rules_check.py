"""The check on files that people, editors and machines have broken in every way."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.check import check_files
from rules.diagnostic import errors_of, render
from rules.errors import ParameterRefused, RuleSetInvalid
from rules.ruling import Ruling
from rules.tuning import set_parameter
from tests.rule_files import FACT_TYPES, rule_files

PACK = """\
pack: everything
owner: tests
parameters:
  few: {type: int, value: 3, min: 1, max: 9}
rules:
  - id: one
    description: A rule.
    event_types: [checkout, payment]
    regions: [east]
    parameters:
      share: {type: double, value: 0.5, min: 0, max: 1}
    when: >-
      has_user && user_orders_7d >= {{ few }}
      && (user_share_7d > {{ share }} || in_list("vip", "user"))
    outcome: challenge
    step_up: captcha
    reason: COUPON_TOO_MANY
    threshold: {source: a, false_alarms: b}
    examples:
      - {expect: no_hit, facts: {}}
      - expect: hit
        facts: {event.region: east, has_user: true, user_orders_7d: 4, user_share_7d: 0.6}
tables:
  - id: grid
    description: A grid.
    event_types: [checkout]
    columns: [row, order.channel, user_orders_7d, outcome]
    rows:
      - [a, flash, ">= {{ few }}", review]
      - [b, flash, "< 3", none]
      - [c, not in flash, "-", decline]
    reason: COUPON_TOO_MANY
    threshold: {source: a, false_alarms: b}
    examples: [{expect: a, facts: {order.channel: flash, user_orders_7d: 3}}]
  - id: file
    description: A file.
    event_types: [payment]
    file: t.csv
    gaps: allowed
    reason: COUPON_TOO_MANY
    threshold: {source: a, false_alarms: b}
    examples: [{expect: a, facts: {order.channel: x}}]
score_cards:
  - id: card
    description: A card.
    event_types: [signup]
    items:
      - {when: user_orders_7d > 3, weight: "{{ few }}"}
      - {when: has_user, weight: 4}
    outcomes: {review: 4, decline: 7}
    reason: COUPON_TOO_MANY
    threshold: {source: a, false_alarms: b}
    examples:
      - {expect: review, facts: {has_user: true, user_orders_7d: 1}}
      - {expect: decline, facts: {has_user: true, user_orders_7d: 4}}
      - {expect: no_hit, facts: {user_orders_7d: 1}}
"""
ROWS = 'row,order.channel,outcome\na,"x",review\nb,"in y, ""z""",decline\n'
EVENT_TYPES = ("checkout", "payment", "signup")
TOKENS = st.sampled_from(
    [
        "", " ", "\n", "\t", "  ", ":", ": ", "- ", "[", "]", "{", "}", "{{", "}}", "{{ few }}",
        '"', "'", ",", "|", ">", "&a", "*a", "#", "//", "null", "~", "true", "1", "-1", "0.5",
        "1e999", "99999999999999999999", "中文", "\u2028", "\ufeff", "\x00", "\ud800", "\r", "(",
        ")", "&&", "||", "!", "a.b", "when", "rules", "in_list(", "..", "[3..5]", "none", "%s",
    ]
)  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, text: str) -> str:
    """A text with some stretches replaced, moved or doubled."""
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        put = draw(st.one_of(TOKENS, st.just(text[start:end] * 2), st.text(max_size=5)))
        text = text[:start] + put + text[end:]
    return text


@settings(max_examples=500, deadline=None)
@given(pack=broken(PACK), rows=broken(ROWS))
def test_checking_never_raises_and_what_passes_loads(pack: str, rows: str) -> None:
    """Any text gives problems at places that are in it, or a rule set that loads and decides."""
    files = rule_files(pack, t=rows)
    found = check_files(files, FACT_TYPES, event_types=EVENT_TYPES, lists=("vip",))
    render(found)
    lines = {"a.yaml": pack.count("\n") + 1, "t.csv": rows.count("\n") + rows.count("\r") + 1}
    for problem in found:
        assert 1 <= problem.line <= lines[problem.file] + 1
        assert problem.column >= 1
    if errors_of(found):
        return
    ruling = Ruling.load(files, FACT_TYPES)
    for event_type in EVENT_TYPES:
        ruling.engine.evaluate(event_type, {"has_user": True, "user_orders_7d": 4})


@settings(max_examples=200, deadline=None)
@given(pack=broken(PACK), value=st.integers(-2, 12))
def test_tuning_a_broken_rule_set_is_refused_or_right(pack: str, value: int) -> None:
    """A parameter is set within its bounds, or nothing is changed; nothing else is raised."""
    files = rule_files(pack, t=ROWS)
    try:
        changed = set_parameter(files, "one", "few", value)
    except (ParameterRefused, RuleSetInvalid):
        return
    assert changed.packs["a.yaml"].count("\n") == pack.count("\n")
    assert set_parameter(changed, "one", "few", value).version == changed.version


def test_nothing_is_wrong_with_what_is_broken_above() -> None:
    """The rule set that the others break has no problem itself."""
    found = check_files(
        rule_files(PACK, t=ROWS), FACT_TYPES, event_types=EVENT_TYPES, lists=("vip",)
    )
    assert found == [], render(found)
