"""What is wrong with the rules, the policy and the reason texts, all of it at once?

Invariant: checking never stops at the first problem and never raises for content; a directory
without a diagnostic loads, and each of its rules answers its own examples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from rules.batch import Batch, CompiledRule
from rules.cel import Language
from rules.cel_problems import KNOWN
from rules.decision import HitStatus
from rules.diagnostic import Diagnostic, did_you_mean, render
from rules.document import Node
from rules.engine import compile_rule
from rules.errors import RuleSetInvalid
from rules.pack import parse_packs
from rules.policy_file import event_type_places, read_policy
from rules.reasons import ReasonText, read_reasons
from rules.rule import Example, Rule
from rules.ruleset import pack_texts

__all__ = ["check_rules", "render"]

_PYTHON_TYPES: dict[str, type] = {"int": int, "double": float, "bool": bool, "string": str}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def check_rules(
    directory: Path,
    fact_types: Mapping[str, str],
    *,
    event_types: Collection[str],
    reasons: Path,
    policy: Path,
    available: Mapping[str, Collection[str]] | None = None,
) -> list[Diagnostic]:
    """Return every problem of a directory of packs with its reason texts and its policy.

    `fact_types` is name -> int, double, bool or string. `available`, where given, is event type ->
    the facts that an event of it can have, so that a rule which would always be `unknown` is found.
    """
    texts, problems = read_reasons(reasons.name, reasons.read_text("utf-8", "replace"))
    text = policy.read_text("utf-8", "replace")
    problems += read_policy(policy.name, text)[1]
    for name, place in event_type_places(policy.name, text).items():
        if name not in event_types:
            problems.append(_unknown_type(place, name, event_types))
    try:
        packs = pack_texts(directory)
    except RuleSetInvalid as error:
        return sorted([*problems, *error.diagnostics])
    rules, found = parse_packs(packs)
    problems += found
    language = Language(fact_types)
    for rule in rules:
        problems += _check_words(rule, event_types, texts)
        compiled = compile_rule(language, rule)
        if not isinstance(compiled, CompiledRule):
            problems += compiled
            continue
        problems += _check_availability(rule, compiled, available or {})
        problems += _check_examples(rule, compiled, language)
    return sorted(set(problems))


def _check_words(
    rule: Rule, event_types: Collection[str], texts: Mapping[str, ReasonText]
) -> Iterable[Diagnostic]:
    """Yield what the rule names that does not exist."""
    listed = rule.part("event_types")
    for node in listed.value if listed is not None and isinstance(listed.value, list) else ():
        if isinstance(node.value, str) and node.value not in event_types:
            yield _unknown_type(node, node.value, event_types)
    place = rule.part("reason")
    if rule.reason and place is not None:
        given = texts.get(rule.reason)
        by_rules = [code for code, text in texts.items() if text.kind == "rule"]
        if given is None:
            message = f"the reason '{rule.reason}' has no texts"
            hint = did_you_mean(rule.reason, by_rules) or "add it to reasons.yaml in en and zh"
            yield place.diagnose("no-reason-text", message, hint)
        elif given.kind != "rule":
            message = f"the reason '{rule.reason}' is the {given.kind}'s, not a rule's"
            yield place.diagnose("no-reason-text", message)
    place = rule.part("id")
    if not rule.owner and place is not None:
        yield place.diagnose("missing-key", "neither the rule nor its pack has an 'owner'")


def _unknown_type(node: Node, name: str, event_types: Collection[str]) -> Diagnostic:
    hint = did_you_mean(name, event_types) or f"known: {', '.join(sorted(event_types))}"
    return node.diagnose("unknown-event-type", f"unknown event type '{name}'", hint)


def _check_availability(
    rule: Rule, compiled: CompiledRule, available: Mapping[str, Collection[str]]
) -> Iterable[Diagnostic]:
    """Yield the facts that an event of one of the rule's types can never have."""
    place = rule.part("when")
    for event_type in rule.event_types:
        if place is None or event_type not in available:
            continue
        facts = {name.removeprefix(KNOWN) for name in compiled.names}
        for name in sorted(facts.difference(available[event_type])):
            message = f"'{name}' is never known for '{event_type}'"
            hint = "let the type read its series, or take the type from this rule"
            yield place.diagnose("never-known", message, hint)


def _check_examples(rule: Rule, compiled: CompiledRule, language: Language) -> Iterable[Diagnostic]:
    """Yield what is wrong with the examples, first of all that there are none."""
    place = rule.part("examples")
    if place is None:
        return
    expected = {example.expect for example in rule.examples}
    for needed in ("hit", "no_hit"):
        if needed not in expected:
            yield place.diagnose("no-example", f"the rule has no example with 'expect: {needed}'")
    batch = Batch(language, [compiled])
    for example in rule.examples:
        facts, problems = _facts(example, rule, language)
        yield from problems
        if problems or example.node is None:
            continue
        results = batch.evaluate_one_by_one(facts)
        status = results[0].status if results else HitStatus.NO_HIT
        if status.value != example.expect:
            message = f"the example expects {example.expect}, the rule answers {status.value}"
            hint = _missing_hint(compiled, facts) if status is HitStatus.UNKNOWN else ""
            yield example.node.value["expect"].diagnose("example", message, hint)


def _missing_hint(compiled: CompiledRule, facts: Mapping[str, Any]) -> str:
    missing = [n for n in compiled.names if n not in facts and not n.startswith(KNOWN)]
    return f"without a value: {', '.join(missing)}" if missing else ""


def _facts(
    example: Example, rule: Rule, language: Language
) -> tuple[dict[str, Any], list[Diagnostic]]:
    """Return an example's facts as an event would have them.

    A part that the example does not mention is absent: `has_…` is false. `event.type` is the
    rule's first type. A whole number stands for a double too.
    """
    types = language.fact_types
    facts: dict[str, Any] = {name: False for name in types if name.startswith("has_")}
    if "event.type" in types and rule.event_types:
        facts["event.type"] = rule.event_types[0]
    node = example.node.value.get("facts") if example.node is not None else None
    problems: list[Diagnostic] = []
    for name, value in example.facts.items():
        key = node.keys[name] if node is not None and node.keys else None
        place = node.value[name] if node is not None else None
        if key is None or place is None:
            continue
        if name not in types or name.startswith(KNOWN):
            known = [fact for fact in types if not fact.startswith(KNOWN)]
            message = f"unknown fact '{name}'"
            problems.append(key.diagnose("example-fact", message, did_you_mean(name, known)))
            continue
        wanted = _PYTHON_TYPES[types[name]]
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            message = f"the fact '{name}' must be {_WORDS[wanted]}"
            hint = "put quotes around a text" if wanted is str else ""
            problems.append(place.diagnose("example-fact", message, hint))
        facts[name] = value
    return facts, problems
