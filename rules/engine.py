"""Which rules hit this event?

Invariant: `Engine.evaluate` is total (no input raises) and its results are those of evaluating
every rule by itself, one after the other; how it gets them is only a matter of speed.

Measured for 45 rules over 120 facts: one evaluation per rule 196 us, all as one CEL list
62 us, of which 41 us convert the facts, so only facts that the rules use are passed. One error
spoils a whole list, so lists are compiled for the facts that are missing (see `rules.batch`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rules.batch import Batch, CompiledRule
from rules.cel import Language
from rules.decision import HitStatus, RuleHit
from rules.diagnostic import Diagnostic
from rules.errors import RuleSetInvalid
from rules.listed import Listed
from rules.rule import Rule
from rules.ruleset import RuleSet


class Engine:
    """Evaluates a rule set on facts of declared types (name -> int, double, bool or string)."""

    def __init__(self, ruleset: RuleSet, fact_types: Mapping[str, str]) -> None:
        """Compile every rule that is not off; raise RuleSetInvalid with every CEL problem."""
        self.ruleset = ruleset
        language = Language(fact_types)
        language.declare(rule.when for rule in ruleset.rules)
        compiled: list[CompiledRule] = []
        problems: list[Diagnostic] = []
        for rule in ruleset.rules:
            found = compile_rule(language, rule)
            if isinstance(found, CompiledRule):
                compiled.append(found)
            else:
                problems += found
        if problems:
            raise RuleSetInvalid(problems)
        running = [rule for rule in compiled if rule.rule.mode != "off"]
        used = {name for rule in running for name in rule.names}
        self.listed: tuple[Listed, ...] = tuple(
            listed for listed in language.listed if listed.fact in used
        )
        types = {kind for rule in running for kind in rule.rule.event_types}
        self._timelines = {
            kind: _Timeline(language, [r for r in running if kind in r.rule.event_types])
            for kind in types
        }

    def evaluate(
        self, event_type: str, facts: Mapping[str, Any], at: datetime | None = None
    ) -> list[RuleHit]:
        """Return the results other than no_hit, in the order of the rule ids.

        `at` decides which rules are within their validity period; without it all are. A fact of
        the wrong type, or a number that is none (NaN), makes the rules that need it an `error`
        or `unknown`, never a silent "no".
        """
        try:
            timeline = self._timelines.get(event_type)
            return timeline.batch_at(at).evaluate(facts) if timeline is not None else []
        except Exception:  # noqa: BLE001 - total by contract: facts may be any object at all
            return self._all_failed(event_type)

    def evaluate_one_by_one(
        self, event_type: str, facts: Mapping[str, Any], at: datetime | None = None
    ) -> list[RuleHit]:
        """Return what `evaluate` returns, by the plainest way: the oracle of its tests."""
        try:
            timeline = self._timelines.get(event_type)
            return timeline.batch_at(at).evaluate_one_by_one(facts) if timeline else []
        except Exception:  # noqa: BLE001 - as above
            return self._all_failed(event_type)

    def _all_failed(self, event_type: object) -> list[RuleHit]:
        if not isinstance(event_type, str) or event_type not in self._timelines:
            return []
        return [rule.error for rule in self._timelines[event_type].rules]


class _Timeline:
    """An event type's rules, in one batch for each stretch of time between validity changes."""

    def __init__(self, language: Language, rules: Sequence[CompiledRule]) -> None:
        self.rules = rules
        edges = {edge for r in rules for edge in (r.rule.valid_from, r.rule.valid_until) if edge}
        self._edges = sorted(edges)
        starts = [datetime.min.replace(tzinfo=UTC), *self._edges]
        self._always = Batch(language, rules)
        self._batches = (
            [Batch(language, [r for r in rules if r.rule.is_valid_at(start)]) for start in starts]
            if edges
            else [self._always]
        )

    def batch_at(self, at: datetime | None) -> Batch:
        if at is None or not self._edges:
            return self._always
        moment = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return self._batches[bisect_right(self._edges, moment)]


def compile_rule(language: Language, rule: Rule) -> CompiledRule | list[Diagnostic]:
    """Return the compiled rule, or every problem of its expression at its place in the file."""
    expression, problems = language.compile(rule.when)
    if not problems:
        return CompiledRule(
            rule=rule,
            expression=expression,
            names=tuple(sorted(language.facts_used(rule.when))),
            hit=_result(rule, HitStatus.HIT),
            unknown=_result(rule, HitStatus.UNKNOWN),
            error=_result(rule, HitStatus.ERROR),
        )
    return [rule.diagnose((p.line, p.column), p.code, p.message, p.hint) for p in problems]


def _result(rule: Rule, status: HitStatus) -> RuleHit:
    return RuleHit(
        rule_id=rule.id,
        status=status,
        outcome=rule.outcome,
        reason=rule.reason,
        mode=rule.mode,
        precedence=rule.precedence,
        step_up=rule.step_up,
        delay_seconds=rule.delay_seconds,
    )
