"""What do two rule sets decide about one event?

Rules that both have are evaluated once, by one engine that holds the rules of both. Invariant: each
side's decision is the one that its own engine and policy would give; nothing here knows where an
event comes from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rules.cel import Language
from rules.cel_problems import KNOWN
from rules.decision import Decision, HitStatus, Outcome, RuleHit
from rules.engine import Engine
from rules.listed import Listed
from rules.policy import Policy, Row, settle
from rules.rule import Rule
from rules.ruleset import RuleSet
from rules.ruling import Ruling

# What changes the effect of a rule that hit, not whether it hits.
_EFFECT = frozenset(
    {
        *("id", "description", "owner", "examples", "reason", "threshold"),
        *("outcome", "mode", "precedence", "step_up", "delay_seconds"),
    }
)
# Events differ in which rules hit them: dozens of combinations, thousands in bad cases.
MOST_VERDICTS = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Value = bool | int | float | str


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What one rule set says: its decision, and which rules alone made it what it is.

    Without a rule in `decisive` the outcome would have been another.
    """

    decision: Decision
    decisive: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Both decisions about an event; events that are alike in all of it share one.

    `place` is `4 * severity of the baseline's outcome + that of the candidate's`.
    """

    event_type: str
    baseline: Side
    candidate: Side
    place: int


class Compared:
    """A candidate and the baseline that it is compared with, as one."""

    def __init__(self, candidate: Ruling, baseline: Ruling, fact_types: Mapping[str, str]) -> None:
        """Compile both; `fact_types` must hold the facts of both."""
        self._engine, origins = _union(candidate.engine, baseline.engine, fact_types)
        self._sides = [
            _SideHits(candidate.policy, {to: rule for to, (rule, _) in origins.items() if rule}),
            _SideHits(baseline.policy, {to: rule for to, (_, rule) in origins.items() if rule}),
        ]
        listed = (*candidate.engine.listed, *baseline.engine.listed)
        self.listed: tuple[Listed, ...] = tuple(dict.fromkeys(listed))
        language = Language(fact_types)
        self._facts_used = frozenset(
            name.removeprefix(KNOWN)
            for rule in self._engine.ruleset.rules
            for name in language.facts_used(rule.when)
        )
        self._verdicts: dict[tuple[Any, ...], Verdict] = {}

    @property
    def facts_used(self) -> frozenset[str]:
        """The facts that some rule may read."""
        return self._facts_used

    @property
    def rules_evaluated(self) -> int:
        """How many rules are evaluated for both sides together."""
        return len(self._engine.ruleset.rules)

    def decide(
        self,
        event_type: str,
        facts: Mapping[str, Value],
        score: float | None,
        gaps: Sequence[str],
        at_ms: int,
    ) -> Verdict:
        """Return what both sides decide; `gaps` are those of the knowledge, not failed rules."""
        hits = self._engine.evaluate(event_type, facts, _EPOCH + timedelta(milliseconds=at_ms))
        if score is not None and math.isnan(score):
            score = None
        candidate, baseline = self._sides
        key = (
            event_type,
            candidate.row(event_type).outcome_of(score),
            baseline.row(event_type).outcome_of(score),
            score is None,
            *gaps,
            *[(hit.rule_id, hit.status) for hit in hits],
        )
        verdict = self._verdicts.get(key)
        if verdict is None:
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            right = candidate.settled(event_type, score, hits, gaps)
            left = baseline.settled(event_type, score, hits, gaps)
            place = 4 * left.decision.outcome.severity + right.decision.outcome.severity
            verdict = self._verdicts[key] = Verdict(event_type, left, right, place)
        return verdict


class _SideHits:
    """The rules of one side among those of both: their hits, in its own words, and its policy."""

    def __init__(self, policy: Policy, rules: Mapping[str, Rule]) -> None:
        self._policy = policy
        self._rules = rules
        self._hits: dict[tuple[str, HitStatus], RuleHit] = {}
        self._rows: dict[str, Row] = {}

    def row(self, event_type: str) -> Row:
        row = self._rows.get(event_type)
        if row is None:
            row = self._rows[event_type] = self._policy.row(event_type)
        return row

    def settled(
        self, event_type: str, score: float | None, hits: Sequence[RuleHit], gaps: Sequence[str]
    ) -> Side:
        own = [self._own(hit) for hit in hits if hit.rule_id in self._rules]
        own.sort(key=lambda hit: hit.rule_id)
        decision = settle(self._policy, event_type, score, own, gaps)
        decisive = set()
        for hit in own:
            if hit.status is HitStatus.HIT and hit.mode == "live":
                others = [other for other in own if other is not hit]
                outcome = settle(self._policy, event_type, score, others, gaps).outcome
                if outcome is not decision.outcome:
                    decisive.add(hit.rule_id)
        return Side(decision, frozenset(decisive))

    def _own(self, hit: RuleHit) -> RuleHit:
        key = (hit.rule_id, hit.status)
        own = self._hits.get(key)
        if own is None:
            rule = self._rules[hit.rule_id]
            own = self._hits[key] = replace(
                hit,
                rule_id=rule.id,
                outcome=rule.outcome,
                reason=rule.reason,
                mode=rule.mode,
                precedence=rule.precedence,
                step_up=rule.step_up,
                delay_seconds=rule.delay_seconds,
            )
        return own


def _union(
    candidate: Engine, baseline: Engine, fact_types: Mapping[str, str]
) -> tuple[Engine, dict[str, tuple[Rule | None, Rule | None]]]:
    """Return one engine for the rules of both, and whose rule each of its rules is.

    Rules of the two sides that hit the same events, whatever their effect, are one rule there.
    """
    together: dict[str, list[Rule | None]] = {}
    for side, engine in enumerate((candidate, baseline)):
        for rule in engine.ruleset.rules:
            if rule.mode == "off":
                continue
            key = repr(sorted((k, v) for k, v in rule.content().items() if k not in _EFFECT))
            # Two rules of one set with the same condition stay two.
            while together.setdefault(key, [None, None])[side] is not None:
                key += " again"
            together[key][side] = rule
    rules: list[Rule] = []
    origins: dict[str, tuple[Rule | None, Rule | None]] = {}
    for number, (right, left) in enumerate(together.values()):
        either = right or left
        assert either is not None
        named = f"rule-{number:05}"
        rules.append(replace(either, id=named, mode="live"))
        origins[named] = (right, left)
    return Engine(RuleSet.of(rules), fact_types), origins


def severities() -> tuple[str, ...]:
    """Return the outcomes by severity, as `Verdict.place` counts them."""
    return tuple(outcome.value for outcome in Outcome)
