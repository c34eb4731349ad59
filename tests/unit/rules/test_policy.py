"""Named cases of settling; what holds for all of them is in tests/properties."""

from __future__ import annotations

from pathlib import Path

import pytest

import rules
from rules.decision import HitStatus, Outcome, RuleHit, StepUp
from rules.errors import PolicyInvalid
from rules.policy import Policy, Row, settle

POLICY = Policy.of(
    Row(challenge_at=0.5, step_up="captcha"),
    {
        "payment": Row(
            0.2,
            0.6,
            0.9,
            "three_d_secure",
            {"velocity": Outcome.CHALLENGE, "rules": Outcome.REVIEW},
        )
    },
)


def hit(rule_id: str, outcome: str, **changes: object) -> RuleHit:
    values = {"status": HitStatus.HIT, "reason": "R", **changes}
    return RuleHit(rule_id=rule_id, outcome=Outcome(outcome), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("score", "outcome"),
    [(0.0, "approve"), (0.2, "challenge"), (0.59, "challenge"), (0.6, "review"), (0.95, "decline")],
)
def test_the_score_alone(score: float, outcome: str) -> None:
    """A threshold is reached when the score equals it."""
    decision = settle(POLICY, "payment", score, [], [])
    assert decision.outcome == outcome
    assert decision.decided_by == (() if outcome == "approve" else ("score",))


def test_types_without_a_row_use_the_default() -> None:
    """An event type that the policy does not name is settled by the default row."""
    decision = settle(POLICY, "gift_card", 0.7, [], [])
    assert (decision.outcome, decision.step_up) == (Outcome.CHALLENGE, StepUp("captcha"))


def test_the_most_severe_of_rules_and_score() -> None:
    """The most severe wins, and only what asked for it has decided."""
    hits = [hit("a", "challenge"), hit("b", "review")]
    decision = settle(POLICY, "payment", 0.3, hits, [])
    assert decision.outcome is Outcome.REVIEW
    assert decision.decided_by == ("rule:b",)
    assert decision.score_outcome is Outcome.CHALLENGE


def test_an_allow_rule_beats_all_but_a_hard_decline() -> None:
    """Precedence: hard declines, then allow rules, then the most severe."""
    allow = hit("friend", "approve", precedence="allow")
    hard = hit("ring", "decline", precedence="hard")
    assert settle(POLICY, "payment", 0.99, [allow, hit("a", "decline")], []).outcome == "approve"
    decision = settle(POLICY, "payment", 0.0, [allow, hard], [])
    assert (decision.outcome, decision.decided_by) == (Outcome.DECLINE, ("rule:ring",))


def test_the_strictest_step_up_and_the_longest_wait() -> None:
    """Several challenges ask for the strongest method and the longest delay among them."""
    hits = [
        hit("a", "challenge", step_up="delay", delay_seconds=30),
        hit("b", "challenge", step_up="captcha", delay_seconds=5),
    ]
    assert settle(POLICY, "payment", 0.0, hits, []).step_up == StepUp("captcha", 30)
    assert settle(POLICY, "payment", 0.3, hits, []).step_up == StepUp("three_d_secure", 30)


def test_gaps_are_listed_and_have_their_floor() -> None:
    """What was missing is in `degraded`, sorted, and is answered as the policy says."""
    unknown = hit("a", "review", status=HitStatus.UNKNOWN)
    decision = settle(POLICY, "payment", 0.01, [unknown], ["velocity:device"])
    assert decision.degraded == ("velocity:device",)
    assert decision.outcome is Outcome.REVIEW  # a rule could not be computed
    assert settle(POLICY, "payment", 0.01, [], ["velocity"]).decided_by == ("missing:velocity",)
    assert settle(POLICY, "gift_card", 0.01, [unknown], ["velocity"]).outcome is Outcome.APPROVE


def test_failed_rules_that_no_gap_explains_are_named() -> None:
    """An error is always named, an unknown unless knowledge was missing; shadow rules never are."""
    hits = [
        hit("broken", "review", status=HitStatus.ERROR),
        hit("unknown", "review", status=HitStatus.UNKNOWN),
        hit("shadow", "review", status=HitStatus.ERROR, mode="shadow"),
    ]
    assert settle(POLICY, "login", 0.0, hits, []).degraded == ("rule:broken", "rule:unknown")
    assert settle(POLICY, "login", 0.0, hits, ["velocity"]).degraded == ("rule:broken", "velocity")
    assert settle(POLICY, "login", None, hits[1:2], []).degraded == ("model", "rule:unknown")


def test_no_score_is_a_gap() -> None:
    """A score of None or NaN is the gap "model", even if the caller forgot to list it."""
    assert settle(POLICY, "login", None, [], []).degraded == ("model",)
    assert settle(POLICY, "login", float("nan"), [], ["model"]).degraded == ("model",)


def test_the_version_is_of_the_content() -> None:
    """Comments and order do not change the version, a threshold does."""
    row = "{challenge_at: 0.5, review_at: null, decline_at: null, step_up: captcha}"
    other = "{step_up: captcha, decline_at: null, review_at: null, challenge_at: 0.50}"
    one = Policy.parse("p.yaml", f"default: {row}\n")
    assert Policy.parse("p.yaml", f"# a comment\ndefault: {other}\n").version == one.version
    changed = Policy.parse("p.yaml", f"default: {row.replace('0.5', '0.6')}\n")
    assert changed.version != one.version
    assert len(one.version) == 64


def test_a_broken_policy_says_everything_at_once() -> None:
    """PolicyInvalid carries every problem with its place."""
    with pytest.raises(PolicyInvalid, match=r"p\.yaml:1:1: the policy has no 'default' row") as e:
        Policy.parse("p.yaml", "types: {payment: {challenge_at: 2}}\n")
    assert len(e.value.diagnostics) == 5


def test_the_shipped_policy_loads() -> None:
    """The file that is shipped is one."""
    assert Policy.load(Path(rules.__file__).parent / "policy.yaml").version
