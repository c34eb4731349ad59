"""How does a score card become rules?

Items that hold add their weights; each outcome is a rule, `<card>-<outcome>`, that hits from its
threshold up to just below the next. Invariant: reading never raises; at most one rule of a card
hits an event, and an item that cannot be known makes them all unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from rules.decision import STEP_UP_METHODS, Outcome
from rules.diagnostic import Diagnostic
from rules.document import Node, check_keys
from rules.example_entry import Expected, read_examples
from rules.limits import MAX_SCORE_CARD_ITEMS
from rules.parameters import Declared, Parameter, filled
from rules.reading import Reader
from rules.rule import Rule
from rules.rule_entry import (
    OF_CHALLENGES,
    Pack,
    Terms,
    bracketed,
    check_combination,
    check_unused,
    read_declared,
    read_id,
    read_terms,
    scoped,
)
from rules.written import Written

CARD_KEYS = (
    "id", "description", "owner", "event_types", "business_lines", "regions", "parameters", "when",
    "items", "outcomes", "reason", "mode", "step_up", "delay_seconds", "valid_from", "valid_until",
    "threshold", "examples",
)  # fmt: skip
REQUIRED = ("id", "description", "event_types", "items", "outcomes", "threshold", "examples")
ITEM_KEYS = ("when", "weight", "description")
OUTCOME_KEYS = ("at", "reason", "step_up", "delay_seconds")
MAX_WEIGHT = 1_000_000
_OUTCOMES = tuple(o.value for o in Outcome if o is not Outcome.APPROVE)


class Item(NamedTuple):
    """A condition and what it adds."""

    condition: Written
    weight: int
    node: Node


class Reached(NamedTuple):
    """An outcome, the points from which on it is given, and the keys that stand beside them."""

    outcome: Outcome
    at: int
    node: Node
    part: Mapping[str, Node]


class Card(NamedTuple):
    """A score card as it is checked for thresholds that nothing reaches."""

    id: str
    items: tuple[Item, ...]
    outcomes: tuple[Reached, ...]
    is_whole: bool  # every item and every outcome could be read


class _Common(NamedTuple):
    """What the rules of one card share."""

    id: str
    part: Mapping[str, Node]
    terms: Terms
    when: Written | None
    items: Sequence[Item]
    used: Mapping[str, Parameter]


def read_card(node: Node, pack: Pack, problems: list[Diagnostic]) -> tuple[list[Rule], Card | None]:
    """Return a card's rules, and the card."""
    part = check_keys(node, CARD_KEYS, "a score card", problems)
    if not part:
        return [], None
    reader = Reader(part, node, problems)
    reader.need(REQUIRED, "the score card")
    identifier = read_id(reader)
    terms, declared = read_terms(reader, pack), read_declared(reader, pack)
    used: dict[str, Parameter] = {}
    when = filled(part["when"], declared, used, problems) if reader.text("when", "") else None
    before = len(problems)
    items = _items(part.get("items"), declared, used, problems)
    outcomes = _outcomes(part.get("outcomes"), declared, used, problems)
    card = Card(identifier, tuple(items), tuple(outcomes), is_whole=len(problems) == before)
    check_unused(part.get("parameters"), used, problems)
    names = tuple(reached.outcome.value for reached in outcomes)
    expected = Expected((*names, "no_hit", "unknown", "error"))
    examples = read_examples(part.get("examples"), expected, declared, problems)
    for needed in (*names, "no_hit") if "examples" in part else ():
        if needed not in {example.expect for example in examples}:
            message = f"the score card has no example with 'expect: {needed}'"
            reader.report("examples", "no-example", message)
    common = _Common(identifier, part, terms, when, items, used)
    rules = [
        replace(_rule(common, reached, following, problems), examples=examples)
        for reached, following in zip(outcomes, [*outcomes[1:], None], strict=False)
    ]
    return (rules if items else []), card


def _rule(
    common: _Common, reached: Reached, following: Reached | None, problems: list[Diagnostic]
) -> Rule:
    """Return the rule of one outcome."""
    asks = reached.outcome is Outcome.CHALLENGE
    part = {key: node for key, node in common.part.items() if asks or key not in OF_CHALLENGES}
    part = {**part, **reached.part, "when": reached.node}
    reader = Reader(part, reached.node, problems)
    reader.need(("reason",), f"the outcome '{reached.outcome.value}'")
    terms = common.terms._replace(
        reason=reader.text("reason", ""),
        step_up=reader.one_of("step_up", STEP_UP_METHODS, "") or None,
        delay_seconds=reader.seconds("delay_seconds"),
    )
    check_combination(reader, reached.outcome.value, terms)
    written = _condition(common.items, reached, following)
    if common.when is not None:
        written = bracketed(common.when) + Written.of(" && ", reached.node) + written
    written = scoped(written, common.part, terms)
    return Rule(
        **terms._asdict(),
        id=f"{common.id}-{reached.outcome.value}",
        when=written.text,
        outcome=reached.outcome,
        parameters=tuple(common.used[name] for name in sorted(common.used)),
        made_by=common.id,
        node=replace(reached.node, value=part),
        written=written,
    )


def _items(
    node: Node | None, declared: Declared, used: dict[str, Parameter], problems: list[Diagnostic]
) -> list[Item]:
    items: list[Item] = []
    if node is None:
        return items
    if not isinstance(node.value, list) or not node.value:
        problems.append(node.diagnose("shape", "'items' must be a list that is not empty"))
        return items
    if len(node.value) > MAX_SCORE_CARD_ITEMS:
        message = f"a score card has {MAX_SCORE_CARD_ITEMS} items at most"
        problems.append(node.diagnose("too-many", message))
        return items
    for entry in node.value:
        part = check_keys(entry, ITEM_KEYS, "an item", problems)
        reader = Reader(part, entry, problems)
        if isinstance(entry.value, dict):
            reader.need(("when", "weight"), "the item")
        reader.text("description", "")
        weight = _points(part.get("weight"), "weight", declared, used, problems)
        if weight == 0:
            reader.report("weight", "bad-weight", "an item that weighs 0 changes nothing")
        if not reader.text("when", ""):
            continue
        condition = filled(part["when"], declared, used, problems)
        if condition is not None and weight:
            items.append(Item(condition, weight, entry))
    return items


def _outcomes(
    node: Node | None, declared: Declared, used: dict[str, Parameter], problems: list[Diagnostic]
) -> list[Reached]:
    """Return the outcomes in the order of their severity."""
    if node is None:
        return []
    part = check_keys(node, _OUTCOMES, "'outcomes'", problems)
    found: list[Reached] = []
    for name in _OUTCOMES:
        if name not in part:
            continue
        own: Mapping[str, Node] = {}
        place = part[name]
        if isinstance(place.value, dict):
            own = check_keys(place, OUTCOME_KEYS, f"the outcome '{name}'", problems)
            Reader(own, place, problems).need(("at",), f"the outcome '{name}'")
            place = own.get("at", place)
        points = _points(place, "at", declared, used, problems)
        if points is not None:
            beside = {key: value for key, value in own.items() if key != "at"}
            found.append(Reached(Outcome(name), points, place, beside))
    for milder, severer in pairwise(found):
        if severer.at <= milder.at:
            message = f"'{severer.outcome}' is reached no later than '{milder.outcome}'"
            problems.append(severer.node.diagnose("bad-threshold", message))
    return found


def _points(
    node: Node | None,
    what: str,
    declared: Declared,
    used: dict[str, Parameter],
    problems: list[Diagnostic],
) -> int | None:
    """Return a whole number, written out or a parameter's."""
    if node is None:
        return None
    value: Any = node.value
    if isinstance(value, str) and "{{" in value:
        written = filled(node, declared, used, problems)
        if written is None:
            return None
        text = written.text.strip().strip("()")
        value = int(text) if text.lstrip("-").isdecimal() else None
    if type(value) is int and abs(value) <= MAX_WEIGHT:
        return value
    message = f"'{what}' must be a whole number, at most {MAX_WEIGHT:,} either way"
    problems.append(node.diagnose("bad-weight", message))
    return None


def _condition(items: Sequence[Item], reached: Reached, following: Reached | None) -> Written:
    """Return `points >= at`, and below the next outcome's."""
    place = reached.node
    total: list[Written] = []
    for item in items:
        plus = " + " if total else ""
        total.append(Written.of(f"{plus}(", item.node))
        total += [bracketed(item.condition), Written.of(f" ? {item.weight} : 0)", item.node)]
    if following is None:
        return Written.joined([*total, Written.of(f" >= {reached.at}", place)])
    bounds = f"points >= {reached.at} && points < {following.at}"
    before, after = Written.of("[", place), Written.of(f"].exists(points, {bounds})", place)
    return Written.joined([before, *total, after])
