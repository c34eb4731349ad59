"""How does one entry of a pack's `rules` become a rule?

Invariant: reading never raises; a rule that can be understood comes back in spite of its other
problems, each of which is noted with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, cast

from rules.decision import MODES, PRECEDENCES, STEP_UP_METHODS, Mode, Outcome, Precedence
from rules.diagnostic import Diagnostic
from rules.document import Node, check_keys
from rules.example_entry import Expected, read_examples
from rules.parameters import Declared, Parameter, filled, literal_of, read_parameters
from rules.reading import Reader
from rules.rule import Rule, Threshold
from rules.written import Written

RULE_KEYS = (
    "id",
    "description",
    "owner",
    "event_types",
    "business_lines",
    "regions",
    "parameters",
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
EXPECTATIONS = ("hit", "no_hit", "unknown", "error")
# The facts that a scope asks for, and which key of a rule lists their values.
SCOPES = {"business_lines": "event.business_line", "regions": "event.region"}
OF_CHALLENGES = ("step_up", "delay_seconds")
_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


class Pack(NamedTuple):
    """What the entries of a pack have in common; `tables` are the files of the rule set's."""

    owner: str
    declared: Declared
    tables: Mapping[str, str]


class Terms(NamedTuple):
    """What the rules of one entry have in common: all but id, condition and outcome."""

    description: str
    owner: str
    event_types: tuple[str, ...]
    business_lines: tuple[str, ...]
    regions: tuple[str, ...]
    reason: str
    threshold: Threshold
    mode: Mode
    precedence: Precedence
    step_up: str | None
    delay_seconds: int
    valid_from: datetime | None
    valid_until: datetime | None


def read_rule(node: Node, pack: Pack, problems: list[Diagnostic]) -> Rule | None:
    """Return the rule of one entry, None if it cannot be evaluated at all."""
    part = check_keys(node, RULE_KEYS, "a rule", problems)
    if not part:
        return None
    reader = Reader(part, node, problems)
    reader.need(REQUIRED, "the rule")
    identifier = read_id(reader)
    outcome = reader.one_of("outcome", tuple(o.value for o in Outcome), "")
    terms = read_terms(reader, pack)
    check_combination(reader, outcome, terms)
    declared = read_declared(reader, pack)
    used: dict[str, Parameter] = {}
    examples = read_examples(part.get("examples"), Expected(EXPECTATIONS), declared, problems)
    if not reader.text("when", ""):
        return None
    condition = filled(part["when"], declared, used, problems)
    check_unused(part.get("parameters"), used, problems)
    if condition is None:
        return None
    written = scoped(condition, part, terms)
    return Rule(
        **terms._asdict(),
        id=identifier or f"line-{node.line}",  # only to find its other problems
        when=written.text,
        outcome=Outcome(outcome or "decline"),
        examples=examples,
        parameters=tuple(used[name] for name in sorted(used)),
        node=node,
        written=written,
    )


def read_id(reader: Reader) -> str:
    """Return the entry's id, which is kebab-case."""
    identifier = reader.text("id", "")
    if identifier and not _KEBAB.match(identifier):
        message = f"the id '{identifier}' is not kebab-case"
        reader.report("id", "bad-id", message, "such as 'coupon-alias-email'")
    return identifier


def read_terms(reader: Reader, pack: Pack) -> Terms:
    """Return what all rules of an entry have in common."""
    precedence = reader.one_of("precedence", PRECEDENCES, "normal")
    valid_from, valid_until = reader.moment("valid_from"), reader.moment("valid_until")
    if valid_from and valid_until and valid_until <= valid_from:
        reader.report("valid_until", "bad-validity", "valid_until is not later than valid_from")
    return Terms(
        description=reader.text("description", ""),
        owner=reader.text("owner", pack.owner),
        event_types=reader.texts("event_types"),
        business_lines=reader.texts("business_lines"),
        regions=reader.texts("regions"),
        reason=reader.text("reason", ""),
        threshold=_threshold(reader.part.get("threshold"), reader.problems),
        mode=cast("Mode", reader.one_of("mode", MODES, "live")),
        precedence=cast("Precedence", precedence),
        step_up=reader.one_of("step_up", STEP_UP_METHODS, "") or None,
        delay_seconds=reader.seconds("delay_seconds"),
        valid_from=valid_from,
        valid_until=valid_until,
    )


def read_declared(reader: Reader, pack: Pack) -> Declared:
    """Return the parameters that the entry may use: its own and its pack's."""
    node = reader.part.get("parameters")
    own = read_parameters(node, reader.problems)
    for name in own:
        if name in pack.declared and node is not None and node.keys is not None:
            message = f"the pack has a parameter '{name}' already"
            reader.problems.append(node.keys[name].diagnose("bad-parameter", message))
    return {**pack.declared, **own}


def check_unused(
    node: Node | None, used: Mapping[str, Parameter], problems: list[Diagnostic]
) -> None:
    """Note the declared parameters that nothing uses, for tuning one would change nothing."""
    for name, place in (node.keys or {}).items() if node is not None else ():
        if name not in used:
            message = f"the parameter '{name}' is not used"
            hint = f"write {{{{ {name} }}}} where it belongs, or remove it"
            problems.append(place.diagnose("unused-parameter", message, hint))


def scoped(condition: Written, part: Mapping[str, Node], terms: Terms) -> Written:
    """Return a condition that is false outside of the scope, whatever else is unknown there."""
    before: list[Written] = []
    for key, fact in SCOPES.items():
        values = getattr(terms, key)
        if values and key in part:
            listed = ", ".join(literal_of(value) for value in values)
            text = f"known.{fact} && {fact} in [{listed}] && "
            before.append(Written.of(text, part[key]))
    if not before:
        return condition
    return Written.joined([*before, bracketed(condition)])


def bracketed(condition: Written) -> Written:
    """Return a condition in brackets; a line break ends a comment that it may end with."""
    last = condition.pieces[-1]
    end = last.at + len(last.text) if last.is_copied else last.at
    closing = "\n)" if "//" in condition.text else ")"
    return Written.joined(
        [Written.of("(", condition.pieces[0].node), condition, Written.of(closing, last.node, end)]
    )


def check_combination(reader: Reader, outcome: str, terms: Terms) -> None:
    """Report what contradicts itself, for a contradiction would be ignored silently."""
    precedence = terms.precedence
    if precedence == "hard" and outcome not in ("", "decline"):
        reader.report("precedence", "contradiction", "a hard rule must have the outcome decline")
    if precedence == "allow" and outcome not in ("", "approve"):
        reader.report("precedence", "contradiction", "an allow rule must have the outcome approve")
    if precedence != "allow" and outcome == "approve":
        message = "the outcome approve has no effect without 'precedence: allow'"
        reader.report("outcome", "contradiction", message)
    if outcome not in ("", "challenge"):
        for key, value in (("step_up", terms.step_up), ("delay_seconds", terms.delay_seconds)):
            if value:
                reader.report(key, "contradiction", f"{key} belongs to the outcome challenge only")


def _threshold(node: Node | None, problems: list[Diagnostic]) -> Threshold:
    if node is None:
        return Threshold("", "")
    part = check_keys(node, ("source", "false_alarms"), "threshold", problems)
    reader = Reader(part, node, problems)
    if isinstance(node.value, dict):
        reader.need(("source", "false_alarms"), "the threshold")
    return Threshold(reader.text("source", ""), reader.text("false_alarms", ""))
