"""Which reasons people get, and in which order."""

from __future__ import annotations

import pytest

from rules.decision import HitStatus, Outcome, RuleHit
from rules.errors import ReasonsInvalid
from rules.policy import Policy, Row, settle
from rules.reasons import Reasons, reasons_for

TEXT = "".join(
    f"{code}: {{kind: {kind}, en: About {code}., zh: 关于{code}。}}\n"
    for code, kind in [
        *((f"RULE_{letter}", "rule") for letter in "ABCDEF"),
        ("MODEL_OTHER", "model"),
        ("MODEL_BASKET", "model"),
        ("CHECKS_INCOMPLETE", "policy"),
    ]
)
REASONS = Reasons.parse("reasons.yaml", TEXT)
POLICY = Policy.of(Row(0.2, 0.6, 0.9, when_missing={"velocity": Outcome.CHALLENGE}), {})


def hit(letter: str, outcome: str, **changes: object) -> RuleHit:
    values = {"status": HitStatus.HIT, "reason": f"RULE_{letter}", **changes}
    return RuleHit(rule_id=letter, outcome=Outcome(outcome), **values)  # type: ignore[arg-type]


def codes(score: float | None, hits: list[RuleHit], gaps: list[str] | None = None) -> list[str]:
    decision = settle(POLICY, "checkout", score, hits, gaps or [])
    explain = [("MODEL_BASKET", 0.4), ("MODEL_OTHER", -0.1)]
    return [reason.code for reason in reasons_for(decision, explain, REASONS)]


def test_an_approval_needs_no_reason() -> None:
    """Nothing hit, nothing to say; an allow rule says why it allowed."""
    assert codes(0.1, []) == []
    allow = hit("B", "approve", precedence="allow")
    assert codes(0.95, [hit("A", "decline"), allow]) == ["RULE_B"]


def test_deciding_rules_come_first() -> None:
    """The rules that brought the outcome about, then the milder ones, then the model."""
    hits = [hit("A", "challenge"), hit("B", "review"), hit("C", "challenge", mode="shadow")]
    assert codes(0.3, hits) == ["RULE_B", "RULE_A", "MODEL_BASKET"]


def test_the_model_is_a_reason_only_when_its_score_asked_for_something() -> None:
    """A rule's outcome at a low score is not explained by the model."""
    assert codes(0.01, [hit("A", "review")]) == ["RULE_A"]
    assert codes(0.7, [hit("A", "challenge")]) == ["MODEL_BASKET", "RULE_A"]


def test_at_most_four_each_once() -> None:
    """Six rules give four reasons, and two rules with one code give one."""
    hits = [hit(letter, "review") for letter in "ABCDEF"]
    assert codes(0.01, hits) == ["RULE_A", "RULE_B", "RULE_C", "RULE_D"]
    assert codes(0.7, hits) == ["RULE_A", "RULE_B", "MODEL_BASKET"]
    again = hit("B", "review", reason="RULE_A")
    assert codes(0.01, [hit("A", "review"), again]) == ["RULE_A"]


def test_no_outcome_without_a_reason() -> None:
    """A floor and a score that nothing explains have a reason, too."""
    assert codes(0.01, [], ["velocity"]) == ["CHECKS_INCOMPLETE"]
    decision = settle(POLICY, "checkout", 0.95, [], [])
    (reason,) = reasons_for(decision, [], REASONS)
    assert (reason.code, reason.source) == ("MODEL_OTHER", "model")


def test_both_languages_and_the_source() -> None:
    """A reason says who gave it, in English and Chinese; a code without texts shows itself."""
    decision = settle(POLICY, "checkout", 0.0, [hit("A", "review")], [])
    (reason,) = reasons_for(decision, [], REASONS)
    assert (reason.text_en, reason.text_zh) == ("About RULE_A.", "关于RULE_A。")
    assert reason.source == "rule:A"
    decision = settle(POLICY, "checkout", 0.0, [hit("Z", "review")], [])
    assert reasons_for(decision, [], REASONS)[0].text_en == "RULE_Z"


def test_missing_texts_are_refused() -> None:
    """A code without Chinese is a problem with its place."""
    with pytest.raises(ReasonsInvalid, match=r"r\.yaml:1:1: the reason 'X' has no 'zh'"):
        Reasons.parse("r.yaml", "X: {kind: rule, en: Text.}\n")
