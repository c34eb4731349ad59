"""Settling is total, deterministic, and never milder for more evidence."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decision import STEP_UP_METHODS, HitStatus, Outcome, Precedence, RuleHit
from rules.policy import Policy, Row, settle

OUTCOMES = st.sampled_from(Outcome)
GAPS = st.sets(st.sampled_from(["velocity", "velocity:device", "profiles", "model", "ledger"]))
SCORES = st.one_of(st.none(), st.floats(0, 1), st.floats(allow_nan=True))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    low, middle, high = sorted(draw(st.tuples(*[st.floats(0.01, 1)] * 3)))
    floors = st.dictionaries(st.sampled_from(["velocity", "profiles", "model", "rules"]), OUTCOMES)
    return Row(
        challenge_at=draw(st.sampled_from([low, None])),
        review_at=draw(st.sampled_from([middle, None])),
        decline_at=draw(st.sampled_from([high, None])),
        step_up=draw(st.sampled_from(STEP_UP_METHODS)),
        when_missing=draw(floors),
    )


@st.composite
def hits(draw: st.DrawFn, allow: bool = True) -> RuleHit:
    precedences: list[Precedence] = ["normal", "hard", "allow"]
    precedence = draw(st.sampled_from(precedences if allow else precedences[:2]))
    outcome = {"hard": Outcome.DECLINE, "allow": Outcome.APPROVE}.get(precedence) or draw(OUTCOMES)
    challenges = outcome is Outcome.CHALLENGE
    return RuleHit(
        rule_id=f"r-{draw(st.integers(0, 99))}",
        status=draw(st.sampled_from(HitStatus)),
        outcome=outcome,
        reason="R",
        mode=draw(st.sampled_from(["live", "live", "shadow"])),
        precedence=precedence,
        step_up=draw(st.sampled_from([None, *STEP_UP_METHODS])) if challenges else None,
        delay_seconds=draw(st.integers(0, 900)) if challenges else 0,
    )


POLICIES = st.builds(Policy.of, rows(), st.dictionaries(st.just("payment"), rows()))
MANY = st.lists(hits(), max_size=6)


@settings(max_examples=400)
@given(POLICIES, st.sampled_from(["payment", "login"]), SCORES, MANY, GAPS)
def test_total_and_deterministic(
    policy: Policy, kind: str, score: float | None, many: list[RuleHit], gaps: set[str]
) -> None:
    """Any input settles, twice alike, and a step-up is asked for exactly when challenged."""
    decision = settle(policy, kind, score, many, gaps)
    assert decision == settle(policy, kind, score, list(many), sorted(gaps))
    assert (decision.step_up is not None) == (decision.outcome is Outcome.CHALLENGE)
    assert list(decision.degraded) == sorted(set(decision.degraded))
    assert gaps <= set(decision.degraded)
    if decision.outcome is not Outcome.APPROVE:
        assert decision.decided_by


@settings(max_examples=400)
@given(POLICIES, st.floats(0, 1), st.floats(0, 1), MANY, GAPS)
def test_a_higher_score_is_never_milder(
    policy: Policy, one: float, other: float, many: list[RuleHit], gaps: set[str]
) -> None:
    """The outcome rises with the score."""
    low, high = sorted((one, other))
    first = settle(policy, "payment", low, many, gaps)
    assert settle(policy, "payment", high, many, gaps).outcome >= first.outcome


@settings(max_examples=400)
@given(POLICIES, SCORES, MANY, hits(allow=False), GAPS)
def test_one_more_hit_is_never_milder(
    policy: Policy, score: float | None, many: list[RuleHit], more: RuleHit, gaps: set[str]
) -> None:
    """One more result of a rule that is no allow rule never lowers outcome, method or delay."""
    first = settle(policy, "payment", score, many, gaps)
    second = settle(policy, "payment", score, [*many, more], gaps)
    assert second.outcome >= first.outcome
    if first.step_up is not None and second.step_up is not None:
        rank = STEP_UP_METHODS.index
        assert rank(second.step_up.method) >= rank(first.step_up.method)
        assert second.step_up.delay_seconds >= first.step_up.delay_seconds


@settings(max_examples=400)
@given(POLICIES, SCORES, MANY, GAPS, GAPS)
def test_one_more_gap_is_never_milder(
    policy: Policy, score: float | None, many: list[RuleHit], gaps: set[str], more: set[str]
) -> None:
    """A gap takes nothing back that was settled without it."""
    first = settle(policy, "payment", score, many, gaps)
    assert settle(policy, "payment", score, many, gaps | more).outcome >= first.outcome


@settings(max_examples=200)
@given(POLICIES, SCORES, MANY, GAPS)
def test_shadow_rules_do_not_count(
    policy: Policy, score: float | None, many: list[RuleHit], gaps: set[str]
) -> None:
    """Without its shadow rules the decision is the same, but for the recorded hits."""
    live = [hit for hit in many if hit.mode == "live"]
    with_shadow = settle(policy, "payment", score, many, gaps)
    without = settle(policy, "payment", score, live, gaps)
    assert with_shadow.outcome is without.outcome
    assert with_shadow.step_up == without.step_up
    assert with_shadow.degraded == without.degraded
