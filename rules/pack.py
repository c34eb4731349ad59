"""How does a YAML pack become rules?

Invariant: reading never raises and never stops at the first problem: every rule that can be
understood is returned beside every problem found, each with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from rules.decision import (
    MODES,
    PRECEDENCES,
    STEP_UP_METHODS,
    Mode,
    Outcome,
    Precedence,
)
from rules.diagnostic import Diagnostic, did_you_mean
from rules.document import Node, check_keys, read
from rules.rule import Example, Rule, Threshold

PACK_KEYS = ("pack", "owner", "rules")
RULE_KEYS = (
    "id",
    "description",
    "owner",
    "event_types",
    "when",
    "outcome",
    "reason",
    "mode",
    "precedence",
    "step_up",
    "delay_seconds",
    "valid_from",
    "valid_until",
    "threshold",
    "examples",
)
REQUIRED = ("id", "description", "event_types", "when", "outcome", "reason", "threshold")
EXAMPLE_KEYS = ("facts", "expect", "note")
EXPECTATIONS = ("hit", "no_hit", "unknown", "error")
_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_MAX_DELAY_SECONDS = 86_400  # a day: longer than that is a lock, which an attacker could trigger


def parse_packs(packs: Mapping[str, str]) -> tuple[list[Rule], list[Diagnostic]]:
    """Return the rules of packs given as file name -> text, and every problem."""
    rules: list[Rule] = []
    problems: list[Diagnostic] = []
    for name in sorted(packs):
        root, found = read(name, packs[name])
        problems += found
        if root is not None:
            rules += _pack(root, problems)
    first: dict[str, Rule] = {}
    for rule in rules:
        if rule.id in first:
            earlier = first[rule.id].node
            where = f"{earlier.file.name}:{earlier.line}" if earlier else "elsewhere"
            node = rule.part("id")
            if node is not None:
                message = f"the id '{rule.id}' is taken by the rule at {where}"
                problems.append(node.diagnose("duplicate-id", message))
        else:
            first[rule.id] = rule
    return list(first.values()), problems


def _pack(root: Node, problems: list[Diagnostic]) -> list[Rule]:
    part = check_keys(root, PACK_KEYS, "a rule pack", problems)
    owner = _Reader(part, root, problems).text("owner", "")
    listed = part.get("rules")
    if listed is None or not isinstance(listed.value, list):
        if isinstance(root.value, dict):
            place = listed or root
            problems.append(place.diagnose("shape", "a rule pack needs a list 'rules'"))
        return []
    rules = (_rule(node, owner, problems) for node in listed.value)
    return [rule for rule in rules if rule is not None]


def _rule(node: Node, owner: str, problems: list[Diagnostic]) -> Rule | None:
    part = check_keys(node, RULE_KEYS, "a rule", problems)
    if not part:
        return None
    reader = _Reader(part, node, problems)
    problems += [
        node.diagnose("missing-key", f"the rule has no '{key}'")
        for key in REQUIRED
        if key not in part
    ]
    identifier = reader.text("id", "")
    if identifier and not _KEBAB.match(identifier):
        message = f"the id '{identifier}' is not kebab-case"
        problems.append(part["id"].diagnose("bad-id", message, "such as 'coupon-alias-email'"))
    outcome = reader.one_of("outcome", tuple(o.value for o in Outcome), "")
    precedence = reader.one_of("precedence", PRECEDENCES, "normal")
    step_up = reader.one_of("step_up", STEP_UP_METHODS, "") or None
    delay = reader.seconds("delay_seconds")
    _check_combination(reader, outcome, precedence, step_up, delay)
    valid_from, valid_until = reader.moment("valid_from"), reader.moment("valid_until")
    if valid_from and valid_until and valid_until <= valid_from:
        message = "valid_until is not later than valid_from"
        problems.append(part["valid_until"].diagnose("bad-validity", message))
    when = reader.text("when", "")
    rule = Rule(
        id=identifier or f"line-{node.line}",  # only to find its other problems
        description=reader.text("description", ""),
        owner=reader.text("owner", owner),
        event_types=reader.texts("event_types"),
        when=when,
        outcome=Outcome(outcome or "decline"),
        reason=reader.text("reason", ""),
        threshold=_threshold(part.get("threshold"), problems),
        mode=cast("Mode", reader.one_of("mode", MODES, "live")),
        precedence=cast("Precedence", precedence),
        step_up=step_up,
        delay_seconds=delay,
        valid_from=valid_from,
        valid_until=valid_until,
        examples=_examples(part.get("examples"), problems),
        node=node,
    )
    return rule if when else None


def _check_combination(
    reader: _Reader, outcome: str, precedence: str, step_up: str | None, delay: int
) -> None:
    """Report what contradicts itself, for a contradiction would be ignored silently."""
    if precedence == "hard" and outcome not in ("", "decline"):
        reader.report("precedence", "contradiction", "a hard rule must have the outcome decline")
    if precedence == "allow" and outcome not in ("", "approve"):
        reader.report("precedence", "contradiction", "an allow rule must have the outcome approve")
    if precedence != "allow" and outcome == "approve":
        message = "the outcome approve has no effect without 'precedence: allow'"
        reader.report("outcome", "contradiction", message)
    if outcome not in ("", "challenge"):
        for key, value in (("step_up", step_up), ("delay_seconds", delay)):
            if value:
                reader.report(key, "contradiction", f"{key} belongs to the outcome challenge only")


def _threshold(node: Node | None, problems: list[Diagnostic]) -> Threshold:
    if node is None:
        return Threshold("", "")
    part = check_keys(node, ("source", "false_alarms"), "threshold", problems)
    reader = _Reader(part, node, problems)
    problems += [
        node.diagnose("missing-key", f"the threshold has no '{key}'")
        for key in ("source", "false_alarms")
        if key not in part and isinstance(node.value, dict)
    ]
    return Threshold(reader.text("source", ""), reader.text("false_alarms", ""))


def _examples(node: Node | None, problems: list[Diagnostic]) -> tuple[Example, ...]:
    if node is None:
        return ()
    if not isinstance(node.value, list):
        problems.append(node.diagnose("shape", "examples must be a list"))
        return ()
    examples: list[Example] = []
    for item in node.value:
        part = check_keys(item, EXAMPLE_KEYS, "an example", problems)
        if not part:
            continue
        reader = _Reader(part, item, problems)
        expect = reader.one_of("expect", EXPECTATIONS, "")
        if "expect" not in part:
            problems.append(item.diagnose("missing-key", "the example has no 'expect'"))
        facts = part.get("facts")
        if facts is not None and not isinstance(facts.value, dict):
            problems.append(facts.diagnose("shape", "facts must be a mapping of names to values"))
            continue
        if expect:
            plain = facts.plain() if facts is not None else {}
            examples.append(Example(plain, expect, reader.text("note", ""), item))
    return tuple(examples)


class _Reader:
    """Typed access to a mapping's values; what has the wrong type becomes a problem."""

    def __init__(self, part: dict[str, Node], node: Node, problems: list[Diagnostic]) -> None:
        self.part = part
        self.node = node
        self.problems = problems

    def report(self, key: str, code: str, message: str, hint: str = "") -> None:
        self.problems.append(self.part.get(key, self.node).diagnose(code, message, hint))

    def text(self, key: str, default: str) -> str:
        node = self.part.get(key)
        if node is None:
            return default
        if isinstance(node.value, str) and node.value.strip():
            return node.value
        self.report(key, "bad-value", f"'{key}' must be a text that is not empty")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        node = self.part.get(key)
        if node is None:
            return ()
        if isinstance(node.value, list) and node.value:
            texts = tuple(item.value for item in node.value if isinstance(item.value, str))
            if len(texts) == len(node.value):
                return tuple(dict.fromkeys(texts))
        self.report(key, "bad-value", f"'{key}' must be a list of texts that is not empty")
        return ()

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        node = self.part.get(key)
        if node is None:
            return default
        if isinstance(node.value, str) and node.value in allowed:
            return node.value
        hint = did_you_mean(str(node.value), allowed) if isinstance(node.value, str) else ""
        message = f"'{key}' must be one of {', '.join(allowed)}"
        self.report(key, f"bad-{key.replace('_', '-')}", message, hint)
        return default

    def seconds(self, key: str) -> int:
        node = self.part.get(key)
        if node is None:
            return 0
        if type(node.value) is int and 0 < node.value <= _MAX_DELAY_SECONDS:
            return node.value
        self.report(key, "bad-value", f"'{key}' must be a whole number from 1 to 86400")
        return 0

    def moment(self, key: str) -> datetime | None:
        node = self.part.get(key)
        if node is None:
            return None
        try:
            moment = datetime.fromisoformat(str(node.value))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            hint = "such as 2026-11-11T00:00:00Z"
            self.report(key, "bad-value", f"'{key}' must be a time with a zone", hint)
            return None
        return moment.astimezone(UTC)
