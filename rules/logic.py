"""Which conditions can never hold, always hold, or say what others say?

Invariant: an error is certain whatever the facts are; what depends on what its author meant is a
warning. What is too large to be understood is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rules.batch import CompiledRule
from rules.cel import Language
from rules.cel_names import position
from rules.cel_tree import Tree
from rules.conditions import (
    Alternative,
    TooMany,
    alternatives,
    both,
    conjuncts,
    disjuncts,
    meets,
    start_of,
)
from rules.decision import Outcome
from rules.diagnostic import Diagnostic
from rules.rule import Rule
from rules.value_sets import Names, shared

# Pairs of rules that are compared at most; 200,000 take about two seconds.
MAX_PAIRS = 200_000


class Meaning(NamedTuple):
    """What a rule's condition holds for, and what it does not hold for."""

    rule: Rule
    holds: tuple[Alternative, ...]
    fails: tuple[Alternative, ...]
    facts: frozenset[str]

    def implies(self, other: Meaning) -> bool:
        """Say whether the other holds whenever this one does."""
        return not any(meets(one, two) for one in self.holds for two in other.fails)


def check_logic(compiled: Sequence[CompiledRule], language: Language) -> Iterator[Diagnostic]:
    """Yield what is wrong with the conditions of rules that compile."""
    meanings: list[Meaning] = []
    for one in compiled:
        tree = language.tree(one.rule.when)
        if tree is None:
            continue
        try:
            meaning = _meaning(one.rule, tree, language.fact_types)
            found = list(_check_one(meaning, tree, language.fact_types))
        except TooMany:
            continue
        yield from found
        if meaning.holds and meaning.fails and not any(problem.is_error for problem in found):
            meanings.append(meaning)
    yield from _check_pairs(meanings)


def impossible(tree: Tree, source: str, fact_types: Mapping[str, str]) -> tuple[int, str] | None:
    """Return where a condition becomes impossible, and why; None if it can hold."""
    before: tuple[Alternative, ...] = ({},)
    for part in conjuncts(tree):
        own = alternatives(part, fact_types)
        met = both([before, own])
        if not met:
            return start_of(part, source), _why(before, own)
        before = met
    for part in disjuncts(tree):
        if not alternatives(part, fact_types):
            return start_of(part, source), "this alternative can never hold"
    return None


def _why(before: Sequence[Alternative], own: Sequence[Alternative]) -> str:
    if not own:
        return "this can never hold"
    if len(before) == len(own) == 1:
        for fact, values in own[0].items():
            earlier = before[0].get(fact)
            if earlier is not None and shared(earlier, values).is_empty:
                if fact.startswith("("):
                    break
                return f"'{fact}' would have to be {earlier} and also {values}"
    return "this contradicts what stands before it"


def _meaning(rule: Rule, tree: Tree, fact_types: Mapping[str, str]) -> Meaning:
    """Return what the rule hits; it is evaluated on events of its types only."""
    types: Alternative = {"event.type": Names.of(rule.event_types)}
    holds = both([(types,), alternatives(tree, fact_types)])
    fails = alternatives(tree, fact_types, is_true=False)
    facts = frozenset(fact for each in fails for fact in each)
    return Meaning(rule, holds, fails, facts)


def _check_one(meaning: Meaning, tree: Tree, fact_types: Mapping[str, str]) -> Iterator[Diagnostic]:
    rule = meaning.rule
    wrong = impossible(tree, rule.when, fact_types)
    if wrong is not None:
        at, why = wrong
        yield rule.diagnose(position(rule.when, at), "never-hits", f"the rule can never hit: {why}")
    elif not meaning.holds:
        message = "the rule can never hit: 'event.type' is none of its event types"
        yield rule.diagnose((1, 1), "never-hits", message)
    elif not meaning.fails:
        message = "the rule hits every event of its types"
        yield rule.diagnose((1, 1), "always-hits", message).as_warning()
    elif rule.made_by is None and not any(each.type == "bool" for each in rule.parameters):
        yield from _check_repeated(rule, list(conjuncts(tree)), fact_types)


def _check_repeated(
    rule: Rule, parts: list[Tree], fact_types: Mapping[str, str]
) -> Iterator[Diagnostic]:
    """Yield the questions that the others have answered already."""
    for part in reversed(list(parts)):
        others = [other for other in parts if other is not part]
        fails = alternatives(part, fact_types, is_true=False)
        if others and not both([fails, *(alternatives(other, fact_types) for other in others)]):
            parts = others
            at = position(rule.when, start_of(part, rule.when))
            message = "the rest of the condition says this already"
            yield rule.diagnose(at, "repeated-condition", message).as_warning()


def _check_pairs(meanings: Sequence[Meaning]) -> Iterator[Diagnostic]:
    """Yield, for each rule, the worst of what others make of it."""
    by_facts: dict[frozenset[str], list[Meaning]] = {}
    for meaning in meanings:
        by_facts.setdefault(meaning.facts, []).append(meaning)
    compared = 0
    for meaning in meanings:
        found: list[Diagnostic] = []
        wider = (m for facts, others in by_facts.items() if facts <= meaning.facts for m in others)
        for other in wider:
            if not _is_comparable(meaning.rule, other.rule):
                continue
            compared += 1
            if compared > MAX_PAIRS:
                return
            if meaning.implies(other):
                found += _compare(meaning, other)
        if found:
            yield min(found, key=lambda one: (not one.is_error, one.code))


def _is_comparable(rule: Rule, other: Rule) -> bool:
    return (
        rule is not other
        and rule.mode == other.mode != "off"
        and (rule.made_by is None or rule.made_by != other.made_by)
        and not set(rule.event_types).isdisjoint(other.event_types)
        and (rule.valid_from, rule.valid_until) == (other.valid_from, other.valid_until)
    )


def _compare(meaning: Meaning, other: Meaning) -> Iterable[Diagnostic]:
    """Yield what follows from `other` holding whenever `meaning` does."""
    rule, wider = meaning.rule, other.rule
    asks = (rule.outcome, rule.precedence, rule.step_up, rule.delay_seconds)
    is_same = asks == (wider.outcome, wider.precedence, wider.step_up, wider.delay_seconds)
    if other.implies(meaning):
        if _place(rule) < _place(wider):
            return  # told at the later one
        message = f"'{wider.id}' has the same condition"
        found = rule.diagnose((1, 1), "duplicate-condition", message)
        one, two = set(rule.event_types), set(wider.event_types)
        is_idle = is_same and rule.reason == wider.reason and (one <= two or two <= one)
        yield found if is_idle else found.as_warning()
    elif _adds_nothing(rule, wider, is_same=is_same):
        message = f"'{wider.id}' ({wider.outcome}) hits whenever this rule does"
        hint = "the rule changes no decision, only the reasons given"
        yield rule.diagnose((1, 1), "no-effect", message, hint).as_warning()


def _adds_nothing(rule: Rule, wider: Rule, *, is_same: bool) -> bool:
    if not set(rule.event_types).issubset(wider.event_types) or "allow" in (
        rule.precedence,
        wider.precedence,
    ):
        return False
    if rule.precedence == "hard" and wider.precedence != "hard":
        return False
    return is_same or (wider.outcome > rule.outcome and wider.outcome is not Outcome.APPROVE)


def _place(rule: Rule) -> tuple[str, int, str]:
    return (rule.node.file.name, rule.node.line, rule.id) if rule.node else ("", 0, rule.id)
