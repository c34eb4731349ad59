"""Which rules hit this event?

Invariant: `Engine.evaluate` is total (no input raises) and its results are those of evaluating
every rule by itself, one after the other; how it gets them is only a matter of speed. Everything is
compiled when the engine is made.

Converting facts to CEL costs 0.2 us each, so only facts that the rules use are passed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rules.batch import Batch, CompiledRule
from rules.cel import Language
from rules.decision import HitStatus, RuleHit
from rules.diagnostic import Diagnostic
from rules.errors import RuleSetInvalid
from rules.limits import MAX_COST_OF_EVENT_TYPE
from rules.listed import Listed
from rules.rule import Rule
from rules.ruleset import RuleSet


class Engine:
    """Evaluates a rule set on facts of declared types (name -> int, double, bool or string)."""

    def __init__(
        self,
        ruleset: RuleSet,
        fact_types: Mapping[str, str],
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        """Compile every rule that is not off; raise RuleSetInvalid with every CEL problem.

        Compiling holds the interpreter's lock: in a thread beside a loop that decides, `pause` is
        where to let go of it (`time.sleep`). It is called about once a millisecond.
        """
        self.ruleset = ruleset
        language = Language(fact_types)
        language.declare(_sources(ruleset.rules, pause))
        compiled: list[CompiledRule] = []
        problems: list[Diagnostic] = []
        for rule in ruleset.rules:
            found = compile_rule(language, rule)
            if isinstance(found, CompiledRule):
                compiled.append(found)
            else:
                problems += found
            pause()
        if problems:
            raise RuleSetInvalid(problems)
        running = [rule for rule in compiled if rule.rule.mode != "off"]
        used = {name for rule in running for name in rule.names}
        self.listed: tuple[Listed, ...] = tuple(
            listed for listed in language.listed if listed.fact in used
        )
        by_type = _by_type(running)
        problems = list(too_costly(running))
        if problems:
            raise RuleSetInvalid(problems)
        self._timelines = {
            kind: _Timeline(language, rules, pause) for kind, rules in by_type.items()
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
            return timeline.batch.evaluate(facts, timeline.period_at(at)) if timeline else []
        except Exception:  # noqa: BLE001 - total by contract: facts may be any object at all
            return self._all_failed(event_type)

    def evaluate_one_by_one(
        self, event_type: str, facts: Mapping[str, Any], at: datetime | None = None
    ) -> list[RuleHit]:
        """Return what `evaluate` returns, by the plainest way: the oracle of its tests."""
        try:
            timeline = self._timelines.get(event_type)
            if timeline is None:
                return []
            return timeline.batch.evaluate_one_by_one(facts, timeline.period_at(at))
        except Exception:  # noqa: BLE001 - as above
            return self._all_failed(event_type)

    def _all_failed(self, event_type: object) -> list[RuleHit]:
        if not isinstance(event_type, str) or event_type not in self._timelines:
            return []
        return [rule.error for rule in self._timelines[event_type].rules]


class _Timeline:
    """An event type's rules, and which of them sleep between any two changes of validity."""

    def __init__(
        self, language: Language, rules: Sequence[CompiledRule], pause: Callable[[], None]
    ) -> None:
        self.rules = rules
        edges = {edge for r in rules for edge in (r.rule.valid_from, r.rule.valid_until) if edge}
        self._edges = sorted(edges)
        starts = [datetime.min.replace(tzinfo=UTC), *self._edges] if edges else []
        asleep = [
            [i for i, r in enumerate(rules) if not r.rule.is_valid_at(start)] for start in starts
        ]
        pause()
        self.batch = Batch(language, rules, [(), *asleep]).compile(pause)

    def period_at(self, at: datetime | None) -> int:
        """Return the batch's period; 0, in which no rule sleeps, without a time."""
        if at is None or not self._edges:
            return 0
        moment = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return 1 + bisect_right(self._edges, moment)


def too_costly(rules: Iterable[CompiledRule]) -> Iterator[Diagnostic]:
    """Yield the costliest rule of each event type whose rules together may take too long."""
    for event_type, alike in _by_type(rules).items():
        steps = sum(one.work.steps for one in alike)
        if steps > MAX_COST_OF_EVENT_TYPE:
            worst = max(alike, key=lambda one: one.work.steps)
            message = (
                f"the rules for '{event_type}' may take {steps:,} steps together;"
                f" {MAX_COST_OF_EVENT_TYPE:,} are allowed"
            )
            hint = f"this one may take {worst.work.steps:,}, the most of them"
            yield worst.rule.diagnose((1, 1), "cel-costly", message, hint)


def _sources(rules: Sequence[Rule], pause: Callable[[], None]) -> Iterator[str]:
    for index, rule in enumerate(rules):
        if index % 100 == 0:
            pause()
        yield rule.when


def _by_type(rules: Iterable[CompiledRule]) -> dict[str, list[CompiledRule]]:
    found: dict[str, list[CompiledRule]] = {}
    for one in rules:
        for event_type in dict.fromkeys(one.rule.event_types):
            found.setdefault(event_type, []).append(one)
    return found


def compile_rule(language: Language, rule: Rule) -> CompiledRule | list[Diagnostic]:
    """Return the compiled rule, or every problem of its expression at its place in the file."""
    expression, work, problems = language.compile_counted(rule.when)
    if not problems:
        return CompiledRule(
            rule=rule,
            expression=expression,
            names=tuple(sorted(language.facts_used(rule.when))),
            work=work,
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
