"""How are many rules evaluated on the same facts, fast?

As one CEL list, compiled for the set of facts that are missing: with a fact missing, the rules
that it spoils are evaluated by themselves. A list that errs all the same (a division by zero)
is given up for that event. Invariant: the results equal `evaluate_one_by_one`, always.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import itemgetter
from typing import Any

from rules.cel import Language
from rules.cel_problems import KNOWN
from rules.decision import RuleHit
from rules.rule import Rule

# CEL's text for a fact without a value; every other error is an error of the rule or the fact.
_MISSING = "UNKNOWN: No value with name"
_PYTHON_TYPES: dict[str, type] = {"int": int, "double": float, "bool": bool, "string": str}

# A list of 45 rules takes 7 ms to compile, as much as 50 events evaluated one by one: so it is
# compiled for a pattern seen before, and no more often than once in so many events.
_SEEN_BEFORE_COMPILING = 3
_EVENTS_PER_COMPILATION = 50
# Patterns come from which parts an event has and which stores answered: dozens, not hundreds.
_MAX_PATTERNS = 64


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule, its expression, the facts it may read, and its possible results, made once."""

    rule: Rule
    expression: Any
    names: tuple[str, ...]
    hit: RuleHit
    unknown: RuleHit
    error: RuleHit


@dataclass(slots=True)
class _Pattern:
    """What is known of one set of missing facts: `failed` rules are evaluated by themselves."""

    names: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    types: list[type]
    doubles: tuple[str, ...]
    known: dict[str, bool]
    seen: int = 0
    failed: set[int] = field(default_factory=set)
    is_hopeless: bool = False
    expression: Any = None
    listed: tuple[int, ...] = ()
    hits: tuple[RuleHit, ...] = ()
    alone: tuple[int, ...] = ()


class Batch:
    """Rules that apply to the same events, in the order in which results are returned."""

    def __init__(self, language: Language, rules: Sequence[CompiledRule]) -> None:
        self._language = language
        self._rules = tuple(rules)
        names = {name for rule in self._rules for name in rule.names}
        self._known = {name: name.removeprefix(KNOWN) for name in names if name.startswith(KNOWN)}
        self._names = frozenset(names.difference(self._known).union(self._known.values()))
        self._types = {name: _PYTHON_TYPES[language.fact_types[name]] for name in self._names}
        self._patterns: OrderedDict[frozenset[str], _Pattern] = OrderedDict()
        self._credit = _EVENTS_PER_COMPILATION

    def evaluate(self, facts: Mapping[str, Any]) -> list[RuleHit]:
        """Return the results other than no_hit; raise only what `facts` itself raises."""
        self._credit += 1
        missing = self._names.difference(facts)
        pattern = self._patterns.get(missing)
        if pattern is None:
            pattern = self._remember(missing)
        else:
            self._patterns.move_to_end(missing)
        values = pattern.read(facts)
        used = dict(zip(pattern.names, values, strict=True))
        if list(map(type, values)) != pattern.types:
            return self._one_by_one(used)
        total = sum(map(used.__getitem__, pattern.doubles)) if pattern.doubles else 0.0
        if total != total:  # one of them is no number
            return self._one_by_one(used)
        if pattern.known:
            used.update(pattern.known)
        if pattern.expression is None:
            return self._learn(pattern, used)
        return self._by_list(pattern, used)

    def evaluate_one_by_one(self, facts: Mapping[str, Any]) -> list[RuleHit]:
        """Return the same, evaluating each rule by itself."""
        used = {name: facts[name] for name in sorted(self._names) if name in facts}
        return self._one_by_one(used)

    def _by_list(self, pattern: _Pattern, used: Mapping[str, Any]) -> list[RuleHit]:
        activation = self._language.activation(used)
        try:
            values = pattern.expression.eval(activation).plain_value()
        except RuntimeError:  # a text that is no valid Unicode
            values = None
        if type(values) is not list:  # one rule erred, and with it the list
            return self._learn(pattern, used)
        if not pattern.alone:
            return list(compress(pattern.hits, values)) if True in values else []
        results = dict(compress(zip(pattern.listed, pattern.hits, strict=True), values))
        for index in pattern.alone:
            result = self._result(self._rules[index], activation)
            if result is not None:
                results[index] = result
        return [results[index] for index in sorted(results)]

    def _learn(self, pattern: _Pattern, used: Mapping[str, Any]) -> list[RuleHit]:
        """Evaluate one by one, and note which rules must not be in this pattern's list."""
        activation = self._language.activation(used)
        results = []
        known = len(pattern.failed)
        for index, rule in enumerate(self._rules):
            result = self._result(rule, activation)
            if result is not None:
                results.append(result)
                if result is not rule.hit:
                    pattern.failed.add(index)
        if pattern.expression is not None:
            # The list erred: for a rule found now, else for being a list (the runtime's budget).
            pattern.expression = None
            pattern.is_hopeless = len(pattern.failed) == known
        pattern.seen += 1
        if pattern.seen >= _SEEN_BEFORE_COMPILING and self._credit >= _EVENTS_PER_COMPILATION:
            self._compile(pattern)
        return results

    def _compile(self, pattern: _Pattern) -> None:
        listed = tuple(i for i in range(len(self._rules)) if i not in pattern.failed)
        if pattern.is_hopeless or not listed:
            return
        self._credit = 0
        sources = [self._language.rewritten(self._rules[index].rule.when) for index in listed]
        pattern.expression = self._language.compile_list(sources)
        pattern.is_hopeless = pattern.expression is None
        pattern.listed = listed
        pattern.hits = tuple(self._rules[index].hit for index in listed)
        pattern.alone = tuple(sorted(pattern.failed))

    def _remember(self, missing: frozenset[str]) -> _Pattern:
        if len(self._patterns) >= _MAX_PATTERNS:
            self._patterns.popitem(last=False)
        names = tuple(sorted(self._names - missing))
        pattern = _Pattern(
            names=names,
            read=itemgetter(*names) if len(names) > 1 else lambda facts: _each(facts, names),
            types=[self._types[name] for name in names],
            doubles=tuple(name for name in names if self._types[name] is float),
            known={fact: name not in missing for fact, name in self._known.items()},
        )
        self._patterns[missing] = pattern
        return pattern

    def _one_by_one(self, stated: Mapping[str, Any]) -> list[RuleHit]:
        used = _cleaned(stated, self._types)
        known = {fact: name in used for fact, name in self._known.items()}
        activation = self._language.activation({**used, **known})
        results = (self._result(rule, activation) for rule in self._rules)
        return [result for result in results if result is not None]

    def _result(self, rule: CompiledRule, activation: Any) -> RuleHit | None:
        try:
            value = rule.expression.eval(activation)
            plain = value.plain_value()
        except RuntimeError:  # a text that is no valid Unicode
            return rule.error
        if plain is False:
            return None
        if plain is True:
            return rule.hit
        return rule.unknown if str(plain).startswith(_MISSING) else rule.error


def _each(facts: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(facts[name] for name in names)


def _cleaned(used: Mapping[str, Any], types: Mapping[str, type]) -> dict[str, Any]:
    """Return the facts without NaN, and with None for what has the wrong type.

    CEL makes an error of None, but would take True for the number 1, bytes for a text, and a
    comparison with NaN for false. A whole number where a double is declared is only spelled
    differently, and is converted.
    """
    cleaned: dict[str, Any] = {}
    for name, value in used.items():
        wanted = types[name]
        if wanted is float and type(value) is int:
            try:
                cleaned[name] = float(value)
            except OverflowError:
                cleaned[name] = None
        elif type(value) is not wanted:
            cleaned[name] = None
        elif value == value:
            cleaned[name] = value
    return cleaned
