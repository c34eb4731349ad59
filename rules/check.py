"""What is wrong with the rules, the policy and the reason texts, all of it at once?

Invariant: checking never stops at the first problem and never raises for content; files without an
error load, and each of their rules answers its own examples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

from rules.batch import CompiledRule
from rules.card_check import check_card
from rules.cel import Language
from rules.cel_lists import ListCall, list_calls
from rules.cel_names import names_in, position
from rules.cel_problems import KNOWN
from rules.diagnostic import Diagnostic, did_you_mean, render
from rules.document import Node
from rules.engine import compile_rule, too_costly
from rules.errors import RuleSetInvalid
from rules.examples import ExampleRun, run_examples
from rules.files import POLICY, REASONS, RuleSetFiles
from rules.limits import MAX_BYTES, MAX_EXAMPLES_OF_RULE, MAX_LISTED, MAX_RULES
from rules.logic import check_logic
from rules.pack import read_packs
from rules.policy_file import event_type_places, read_policy
from rules.reasons import ReasonText, read_reasons
from rules.rule import Rule
from rules.table_check import check_table

__all__ = ["check_files", "examples_of", "render"]


def check_files(
    files: RuleSetFiles,
    fact_types: Mapping[str, str],
    *,
    event_types: Collection[str],
    available: Mapping[str, Collection[str]] | None = None,
    entity_kinds: Collection[str] = (),
    lists: Collection[str] | None = None,
) -> list[Diagnostic]:
    """Return every problem and every warning of a rule set, in the order of files and lines.

    `fact_types` is name -> int, double, bool or string, the set's own series included. `available`,
    where given, is event type -> the facts that an event of it can have, so that a rule which would
    always be `unknown` is found. `entity_kinds` are what lists can hold, `lists` the names of those
    that there are; neither is checked where it is not given.
    """
    texts, problems = read_reasons(REASONS, files.texts[REASONS])
    problems += read_policy(POLICY, files.texts[POLICY])[1]
    for name, place in event_type_places(POLICY, files.texts[POLICY]).items():
        if name not in event_types:
            problems.append(_unknown_type(place, name, event_types))
    packs = read_packs(files.packs, files.tables)
    rules = packs.rules
    problems += packs.problems
    problems += _check_size(files, rules)
    language = Language(fact_types)
    language.declare(rule.when for rule in rules)
    compiled: list[CompiledRule] = []
    for rule in rules:
        problems += _check_words(rule, event_types, texts)
        problems += _check_lists(rule, entity_kinds, lists)
        result = compile_rule(language, rule)
        if isinstance(result, CompiledRule):
            compiled.append(result)
            problems += _check_availability(result, available or {})
        else:
            problems += result
    problems += too_costly(one for one in compiled if one.rule.mode != "off")
    problems += _check_examples(compiled, language, {card.id for card in packs.cards})
    problems += check_logic(compiled, language)
    for table in packs.tables:
        problems += check_table(table)
    for card in packs.cards:
        problems += check_card(card, language)
    return sorted(set(problems))


def examples_of(files: RuleSetFiles, fact_types: Mapping[str, str]) -> list[ExampleRun]:
    """Return the answers to all examples of a rule set whose rules compile.

    Raises `RuleSetInvalid` with what does not.
    """
    packs = read_packs(files.packs, files.tables)
    rules, problems = packs.rules, packs.problems
    language = Language(fact_types)
    language.declare(rule.when for rule in rules)
    compiled: list[CompiledRule] = []
    for rule in rules:
        result = compile_rule(language, rule)
        if isinstance(result, CompiledRule):
            compiled.append(result)
        else:
            problems += result
    if problems:
        raise RuleSetInvalid(problems)
    return list(run_examples(compiled, language))


def _check_size(files: RuleSetFiles, rules: Sequence[Rule]) -> Iterable[Diagnostic]:
    """Yield what there is too much of."""
    first = min(files.texts)
    total = sum(len(text.encode("utf-8", "surrogatepass")) for text in files.texts.values())
    if total > MAX_BYTES:
        message = f"all files together have {total} bytes, more than {MAX_BYTES}"
        yield Diagnostic(first, 1, 1, "too-many", message)
    if len(rules) > MAX_RULES:
        message = f"there are {len(rules)} rules, more than {MAX_RULES}"
        yield Diagnostic(first, 1, 1, "too-many", message)
    listed = {
        call.listed
        for rule in rules
        for call in list_calls(rule.when)
        if isinstance(call, ListCall)
    }
    if len(listed) > MAX_LISTED:
        message = f"the rules ask {len(listed)} lists for a kind of entity, more than {MAX_LISTED}"
        yield Diagnostic(first, 1, 1, "too-many", message)


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


def _check_lists(
    rule: Rule, entity_kinds: Collection[str], lists: Collection[str] | None
) -> Iterable[Diagnostic]:
    """Yield the lists that there are not, and the kinds of entity that nothing has."""
    for call in list_calls(rule.when):
        if not isinstance(call, ListCall):
            continue  # the compiler says what is wrong
        name, kind = call.listed
        if entity_kinds and kind not in entity_kinds:
            hint = did_you_mean(kind, entity_kinds) or f"known: {', '.join(sorted(entity_kinds))}"
            place = position(rule.when, call.kind_at)
            yield rule.diagnose(place, "unknown-kind", f"unknown kind of entity '{kind}'", hint)
        if lists is not None and name not in lists:
            hint = did_you_mean(name, lists) or "make the list first; it may be empty"
            place = position(rule.when, call.list_at)
            yield rule.diagnose(place, "unknown-list", f"there is no list '{name}'", hint)


def _check_availability(
    compiled: CompiledRule, available: Mapping[str, Collection[str]]
) -> Iterable[Diagnostic]:
    """Yield the facts that an event of one of the rule's types can never have."""
    when = compiled.rule.when
    lists = {call.listed.fact for call in list_calls(when) if isinstance(call, ListCall)}
    facts = {name.removeprefix(KNOWN) for name in compiled.names} - lists
    for event_type in compiled.rule.event_types:
        if event_type not in available:
            continue
        for fact in sorted(facts.difference(available[event_type])):
            message = f"'{fact}' is never known for '{event_type}'"
            hint = "let the type read its series, or take the type from this rule"
            place = position(when, _first_use(fact, when))
            yield compiled.rule.diagnose(place, "never-known", message, hint)


def _first_use(fact: str, source: str) -> int:
    """Return where a fact is first named; behind it may stand a member or a function."""
    for name in names_in(source):
        if f"{name.text.removeprefix(KNOWN)}.".startswith(f"{fact}."):
            return name.start
    return 0


def _check_examples(
    compiled: Sequence[CompiledRule], language: Language, cards: Collection[str]
) -> Iterable[Diagnostic]:
    """Yield what is wrong with the examples, first of all that there are none."""
    for rule in (one.rule for one in compiled):
        place = rule.part("examples")
        if place is None or rule.made_by is not None:
            continue
        expected = {example.expect for example in rule.examples}
        for needed in ("hit", "no_hit"):
            if needed not in expected:
                message = f"the rule has no example with 'expect: {needed}'"
                yield place.diagnose("no-example", message)
    ids = {one.rule.id for one in compiled}
    runs = run_examples(compiled, language)
    for _, group in groupby(runs, key=lambda run: run.subject):
        for count, run in enumerate(group, 1):
            node = run.example.node
            if count == MAX_EXAMPLES_OF_RULE + 1 and node is not None:
                message = f"a rule has {MAX_EXAMPLES_OF_RULE} examples at most"
                yield node.diagnose("too-many", message)
            yield from run.problems
            if run.problems or run.is_passed or node is None:
                continue
            whose = "rule" if run.subject in ids else "card" if run.subject in cards else "table"
            message = f"the example expects {run.example.expect}, the {whose} answers {run.answer}"
            hint = f"without a value: {', '.join(run.missing)}" if run.missing else ""
            yield node.value["expect"].diagnose("example", message, hint)
