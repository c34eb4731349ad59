"""Whoever asked for a human is not declined by a machine alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.decision import HitStatus, Outcome, Precedence, RuleHit
from rules.human_review import CAP, LISTED, REASON, needs_human
from rules.policy import Policy, Row, settle
from rules.reasons import Reasons, reasons_for
from tests.rule_files import REASONS

POLICY = Policy.of(Row(challenge_at=0.2, review_at=0.5, decline_at=0.9), {})
TEXTS = Reasons.parse("reasons.yaml", REASONS)


def hit(rule_id: str, outcome: Outcome, precedence: Precedence = "normal") -> RuleHit:
    return RuleHit(rule_id, HitStatus.HIT, outcome, "COUPON_TOO_MANY", "live", precedence)


@pytest.mark.parametrize("precedence", ["normal", "hard"])
def test_decline_becomes_review(precedence: Precedence) -> None:
    """A decline becomes a review that names what asked for more, what capped it, and why."""
    hits = [hit("a", Outcome.DECLINE, precedence)]
    decision = settle(POLICY, "login", 0.95, hits, [], needs_human=True)
    assert decision.outcome is Outcome.REVIEW
    assert decision.decided_by[0] == "rule:a"
    assert decision.decided_by[-1] == CAP
    reasons = reasons_for(decision, [("MODEL_OTHER", 1.0)], TEXTS)
    assert (REASON, CAP) in [(reason.code, reason.source) for reason in reasons]
    assert "COUPON_TOO_MANY" in [reason.code for reason in reasons]
    (told,) = [reason for reason in reasons if reason.code == REASON]
    assert "person" in told.text_en
    assert "人工" in told.text_zh


def test_reason_is_given_beside_many_others() -> None:
    """The reason is among the four however many rules decided."""
    hits = [RuleHit(code.lower(), HitStatus.HIT, Outcome.DECLINE, code) for code in "ABCDE"]
    decision = settle(POLICY, "login", 0.0, hits, [], needs_human=True)
    assert REASON in [reason.code for reason in reasons_for(decision, [], TEXTS)]


@given(st.floats(0, 1) | st.none(), st.lists(st.sampled_from(list(Outcome)), max_size=4))
def test_nothing_else_changes(score: float | None, outcomes: list[Outcome]) -> None:
    """The cap touches declines only, and leaves nothing above a review."""
    hits = [hit(f"r-{place}", outcome) for place, outcome in enumerate(outcomes)]
    plain = settle(POLICY, "login", score, hits, [])
    capped = settle(POLICY, "login", score, hits, [], needs_human=True)
    if plain.outcome is Outcome.DECLINE:
        assert capped.outcome is Outcome.REVIEW
    else:
        assert capped == plain


def test_every_kind_of_person_counts() -> None:
    """One fact of the list that is true is enough; false, unknown and other lists are not."""
    for one in LISTED:
        assert needs_human({one.fact: True})
        assert not needs_human({one.fact: False})
    assert not needs_human({"list.vip.user": True})
