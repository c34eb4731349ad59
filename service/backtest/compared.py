"""What do two rule sets decide about one event?

Rules that both have are evaluated once. Invariant: each side's decision is the one that its own
engine and policy would give; nothing here knows where an event comes from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rules.cel import Language
from rules.cel_problems import KNOWN
from rules.decision import Decision, HitStatus, RuleHit
from rules.engine import Engine
from rules.human_review import needs_human
from rules.listed import Listed
from rules.policy import Policy, settle
from rules.rule import Rule
from rules.ruleset import RuleSet
from rules.ruling import Ruling

# What changes the effect of a rule that hit, not whether it hits.
_EFFECT = frozenset(
    {
        *("id", "description", "owner", "examples", "reason", "threshold"),
        *("outcome", "mode", "precedence", "step_up", "delay_seconds"),
        # What they did is in `when` already.
        *("parameters", "made_by", "business_lines", "regions"),
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
    """A candidate and the baseline that it is compared with.

    The baseline's engine evaluates all its rules; another one only those of the candidate whose
    condition no rule of the baseline has.
    """

    def __init__(self, candidate: Ruling, baseline: Ruling, fact_types: Mapping[str, str]) -> None:
        """Compile what only the candidate has; `fact_types` must hold the facts of both."""
        shared, own = _shared(candidate.engine, baseline.engine)
        self._baseline = baseline
        self._candidate = candidate
        self._own = Engine(RuleSet.of(own), fact_types)
        self._shared = shared
        self._shared_hits: dict[tuple[str, HitStatus], RuleHit] = {}
        listed = (*candidate.engine.listed, *baseline.engine.listed)
        self.listed: tuple[Listed, ...] = tuple(dict.fromkeys(listed))
        language = Language(fact_types)
        self.facts_used = frozenset(
            name.removeprefix(KNOWN)
            for engine in (baseline.engine, self._own)
            for rule in engine.ruleset.rules
            for name in language.facts_used(rule.when)
        )
        self._verdicts: dict[tuple[Any, ...], Verdict] = {}

    @property
    def rules_evaluated(self) -> int:
        """How many rules are evaluated for both sides together."""
        return len(_running(self._baseline.engine)) + len(self._own.ruleset.rules)

    def decide(
        self,
        event_type: str,
        facts: Mapping[str, Value],
        score: float | None,
        gaps: Sequence[str],
        at_ms: int,
    ) -> Verdict:
        """Return what both sides decide; `gaps` are those of the knowledge, not failed rules.

        Where the facts say that a human was asked for, neither side declines.
        """
        at = _EPOCH + timedelta(milliseconds=at_ms)
        hits = self._baseline.engine.evaluate(event_type, facts, at)
        own = self._own.evaluate(event_type, facts, at)
        if score is not None and math.isnan(score):
            score = None
        capped = needs_human(facts)
        key = (
            event_type,
            capped,
            self._candidate.policy.row(event_type).outcome_of(score),
            self._baseline.policy.row(event_type).outcome_of(score),
            score is None,
            *gaps,
            *[(hit.rule_id, hit.status) for hit in hits],
            None,
            *[(hit.rule_id, hit.status) for hit in own],
        )
        verdict = self._verdicts.get(key)
        if verdict is None:
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            left = _settled(self._baseline.policy, event_type, score, hits, gaps, capped)
            right = _settled(
                self._candidate.policy, event_type, score, self._of_candidate(hits, own), gaps,
                capped,
            )  # fmt: skip
            place = 4 * left.decision.outcome.severity + right.decision.outcome.severity
            verdict = self._verdicts[key] = Verdict(event_type, left, right, place)
        return verdict

    def _of_candidate(self, hits: Sequence[RuleHit], own: Sequence[RuleHit]) -> list[RuleHit]:
        """Return the candidate's hits, in its own words and in the order of its rule ids."""
        found = [
            self._in_its_words(hit, rule)
            for hit in hits
            if (rule := self._shared.get(hit.rule_id)) is not None
        ]
        return sorted((*found, *own), key=lambda hit: hit.rule_id)

    def _in_its_words(self, hit: RuleHit, rule: Rule) -> RuleHit:
        key = (hit.rule_id, hit.status)
        found = self._shared_hits.get(key)
        if found is None:
            found = self._shared_hits[key] = replace(
                hit,
                rule_id=rule.id,
                outcome=rule.outcome,
                reason=rule.reason,
                mode=rule.mode,
                precedence=rule.precedence,
                step_up=rule.step_up,
                delay_seconds=rule.delay_seconds,
            )
        return found


def _settled(
    policy: Policy,
    event_type: str,
    score: float | None,
    hits: Sequence[RuleHit],
    gaps: Sequence[str],
    capped: bool,
) -> Side:
    decision = settle(policy, event_type, score, hits, gaps, needs_human=capped)
    decisive = set()
    for hit in hits:
        if hit.status is HitStatus.HIT and hit.mode == "live":
            others = [other for other in hits if other is not hit]
            without = settle(policy, event_type, score, others, gaps, needs_human=capped)
            if without.outcome is not decision.outcome:
                decisive.add(hit.rule_id)
    return Side(decision, frozenset(decisive))


def _shared(candidate: Engine, baseline: Engine) -> tuple[dict[str, Rule], list[Rule]]:
    """Return the candidate's rules that hit the same events as a rule of the baseline, and others.

    The first by the id of that rule; whatever their effect is.
    """
    there: dict[str, list[str]] = {}
    for rule in _running(baseline):
        there.setdefault(_condition(rule), []).append(rule.id)
    shared: dict[str, Rule] = {}
    own = []
    for rule in _running(candidate):
        same = there.get(_condition(rule))
        if same:
            shared[same.pop()] = rule
        else:
            own.append(rule)
    return shared, own


def _condition(rule: Rule) -> str:
    return repr(sorted((k, v) for k, v in rule.content().items() if k not in _EFFECT))


def _running(engine: Engine) -> list[Rule]:
    return [rule for rule in engine.ruleset.rules if rule.mode != "off"]
