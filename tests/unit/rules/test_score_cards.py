"""Score cards: how weights become outcomes."""

from __future__ import annotations

from rules.check import check_files
from rules.decision import HitStatus, Outcome
from rules.ruling import Ruling
from rules.tuning import set_parameter
from tests.rule_files import FACT_TYPES, rule_files

CARD = """\
owner: tests
score_cards:
  - id: risk
    description: Adds up.
    event_types: [checkout]
    when: has_user // and nothing else
    parameters:
      heavy: {type: int, value: 30, min: -50, max: 50}
      enough: {type: int, value: 40, min: 1, max: 100}
    items:
      - {when: user_orders_7d > 3 // many, weight: "{{ heavy }}"}
      - when: "user_returns_7d > 3 ? true : user_returns_7d == 0"
        weight: 20
        description: many or none
      - {when: user_share_7d < 0.5, weight: -10}
    outcomes:
      challenge: 10
      review: "{{ enough }}"
      decline: {at: 50, reason: RETURN_TOO_MANY}
    reason: COUPON_TOO_MANY
    step_up: captcha
    threshold: {source: a, false_alarms: b}
    examples:
      - expect: challenge
        facts: {has_user: true, user_orders_7d: 4, user_returns_7d: 1, user_share_7d: 0.4}
      - expect: review
        facts: {has_user: true, user_orders_7d: 4, user_returns_7d: 0, user_share_7d: 0.4}
      - expect: decline
        facts: {has_user: true, user_orders_7d: 4, user_returns_7d: 4, user_share_7d: 0.6}
      - expect: no_hit
        facts: {has_user: true, user_orders_7d: 0, user_returns_7d: 1, user_share_7d: 0.6}
      - {expect: no_hit, facts: {}}
      - {expect: unknown, facts: {has_user: true, user_orders_7d: 4}}
"""


def test_a_card_answers_its_examples() -> None:
    """Weights add up, the highest threshold that is reached decides, and only that rule hits."""
    assert check_files(rule_files(CARD), FACT_TYPES, event_types=("checkout",)) == []
    ruling = Ruling.load(rule_files(CARD), FACT_TYPES)
    rules = {rule.id: rule for rule in ruling.engine.ruleset.rules}
    assert {name: (r.outcome, r.reason, r.step_up) for name, r in rules.items()} == {
        "risk-challenge": (Outcome.CHALLENGE, "COUPON_TOO_MANY", "captcha"),
        "risk-decline": (Outcome.DECLINE, "RETURN_TOO_MANY", None),
        "risk-review": (Outcome.REVIEW, "COUPON_TOO_MANY", None),
    }
    for orders in range(8):
        for returns in range(8):
            for share in (0.4, 0.6):
                facts = {
                    "has_user": True,
                    "user_orders_7d": orders,
                    "user_returns_7d": returns,
                    "user_share_7d": share,
                }
                points = 30 * (orders > 3) + 20 * (returns == 0 or returns > 3) - 10 * (share < 0.5)
                expected = (
                    ["risk-decline"] if points >= 50
                    else ["risk-review"] if points >= 40
                    else ["risk-challenge"] if points >= 10
                    else []
                )  # fmt: skip
                hits = ruling.engine.evaluate("checkout", facts)
                assert [hit.rule_id for hit in hits] == expected


def test_what_cannot_be_known_is_unknown() -> None:
    """An item without its fact makes every outcome of the card unknown."""
    ruling = Ruling.load(rule_files(CARD), FACT_TYPES)
    hits = ruling.engine.evaluate("checkout", {"has_user": True, "user_orders_7d": 4})
    assert [hit.status for hit in hits] == [HitStatus.UNKNOWN] * 3
    assert ruling.engine.evaluate("checkout", {"has_user": False}) == []


def test_weights_and_thresholds_can_be_tuned() -> None:
    """A parameter may be a weight or a threshold; out of reach is told."""
    files = set_parameter(rule_files(CARD), "risk", "heavy", -30)
    messages = [each.message for each in check_files(files, FACT_TYPES, event_types=("checkout",))]
    assert "'review' is never reached: there are 20 points at most" in messages
    files = set_parameter(rule_files(CARD), "risk-review", "enough", 50)
    messages = [each.message for each in check_files(files, FACT_TYPES, event_types=("checkout",))]
    assert "'decline' is reached no later than 'review'" in messages
