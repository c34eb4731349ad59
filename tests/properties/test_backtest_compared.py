"""Two rule sets decided together are decided as each by itself."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rules.decision import Outcome
from rules.engine import Engine
from rules.policy import Policy, Row, settle
from rules.reasons import Reasons
from rules.rule import Rule, Threshold
from rules.ruleset import RuleSet
from rules.ruling import Ruling
from service.backtest.compared import Compared

FACTS = {"a": "int", "b": "int", "flag": "bool", "share": "double"}
CONDITIONS = (
    "a > 2", "b > 2", "a > b", "flag", "flag && a > 1", "share > 0.5", "a / b > 1", "true",
)  # fmt: skip
TYPES = ("login", "checkout")
EFFECTS = st.one_of(
    st.tuples(st.sampled_from(("challenge", "review", "decline")), st.just("normal")),
    st.just(("decline", "hard")),
    st.just(("approve", "allow")),
)


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[Rule, ...]:
    """Up to six rules, out of few conditions, so that two sets share some."""
    rules = []
    for number in draw(st.sets(st.integers(0, 7), max_size=6)):
        outcome, precedence = draw(EFFECTS)
        rules.append(
            Rule(
                id=f"r-{number}",
                description="test",
                owner="tests",
                event_types=draw(st.sampled_from((TYPES, TYPES[:1], TYPES[1:]))),
                when=draw(st.sampled_from(CONDITIONS)),
                outcome=Outcome(outcome),
                reason="R",
                threshold=Threshold("", ""),
                mode=draw(st.sampled_from(("live", "live", "shadow", "off"))),
                precedence=precedence,
            )
        )
    return tuple(rules)


POLICIES = st.builds(
    lambda review, decline, floor: Policy.of(
        Row(review_at=review, decline_at=decline, when_missing=floor), {}
    ),
    st.sampled_from((None, 0.3, 0.6)),
    st.sampled_from((None, 0.8)),
    st.sampled_from(({}, {"rules": Outcome.REVIEW}, {"model": Outcome.CHALLENGE})),
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(TYPES),
        st.fixed_dictionaries(
            {},
            optional={
                "a": st.integers(0, 4),
                "b": st.integers(0, 4),
                "flag": st.booleans(),
                "share": st.floats(0, 1) | st.just(float("nan")),
            },
        ),
        st.none() | st.floats(0, 1) | st.just(float("nan")),
        st.sampled_from(((), ("velocity",), ("profiles",))),
    ),
    min_size=1,
    max_size=12,
)


def ruling(rules: tuple[Rule, ...], policy: Policy) -> Ruling:
    ruleset = RuleSet.of(rules)
    return Ruling(ruleset.version, Engine(ruleset, FACTS), policy, Reasons({}))


@given(rule_sets(), rule_sets(), POLICIES, POLICIES, EVENTS)
def test_each_side_decides_as_by_itself(
    left: tuple[Rule, ...],
    right: tuple[Rule, ...],
    left_policy: Policy,
    right_policy: Policy,
    events: list[tuple[str, dict[str, Any], float | None, tuple[str, ...]]],
) -> None:
    """Outcome, hits, gaps, causes and step-up are those of the own engine; decisive rules, too."""
    baseline, candidate = ruling(left, left_policy), ruling(right, right_policy)
    compared = Compared(candidate, baseline, FACTS)
    for event_type, facts, score, gaps in events:
        verdict = compared.decide(event_type, facts, score, gaps, 0)
        for side, own in ((verdict.baseline, baseline), (verdict.candidate, candidate)):
            hits = own.engine.evaluate(event_type, facts)
            alone = settle(own.policy, event_type, score, hits, gaps)
            assert side.decision == alone
            without = {
                hit.rule_id: settle(
                    own.policy, event_type, score, [h for h in hits if h is not hit], gaps
                ).outcome
                for hit in hits
                if hit.mode == "live" and hit.status == "hit"
            }
            assert side.decisive == {
                name for name, outcome in without.items() if outcome is not alone.outcome
            }
        severities = [
            side.decision.outcome.severity for side in (verdict.baseline, verdict.candidate)
        ]
        assert verdict.place == 4 * severities[0] + severities[1]
