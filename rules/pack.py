"""How does a YAML pack become rules?

Invariant: reading never raises and never stops at the first problem: every rule that can be
understood is returned beside every problem found, each with its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rules.diagnostic import Diagnostic
from rules.document import Node, check_keys, read
from rules.parameters import read_parameters
from rules.reading import Reader
from rules.rule import Rule
from rules.rule_entry import Pack, check_unused, read_rule
from rules.score_card import Card, read_card
from rules.table import Table, read_table

PACK_KEYS = ("pack", "owner", "parameters", "rules", "tables", "score_cards")


class Packs(NamedTuple):
    """What packs say: the rules, those of tables and cards included, and every problem."""

    rules: list[Rule]
    tables: list[Table]
    cards: list[Card]
    problems: list[Diagnostic]


def read_packs(packs: Mapping[str, str], tables: Mapping[str, str] | None = None) -> Packs:
    """Read packs given as file name -> text, and the table files that they may name."""
    read_so_far = Packs([], [], [], [])
    for name in sorted(packs):
        root, found = read(name, packs[name])
        read_so_far.problems.extend(found)
        if root is not None:
            _pack(root, tables or {}, read_so_far)
    rules = _unique(read_so_far.rules, read_so_far.problems)
    return read_so_far._replace(rules=rules)


def _unique(rules: Sequence[Rule], problems: list[Diagnostic]) -> list[Rule]:
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
    return list(first.values())


def _pack(root: Node, files: Mapping[str, str], found: Packs) -> None:
    problems = found.problems
    part = check_keys(root, PACK_KEYS, "a rule pack", problems)
    owner = Reader(part, root, problems).text("owner", "")
    pack = Pack(owner, read_parameters(part.get("parameters"), problems), files)
    before = len(found.rules)
    if part.keys().isdisjoint(("rules", "tables", "score_cards")) and isinstance(root.value, dict):
        problems.append(root.diagnose("shape", "a rule pack needs a list 'rules'"))
    for node in _entries(part, "rules", problems):
        rule = read_rule(node, pack, problems)
        found.rules.extend([rule] if rule is not None else [])
    for node in _entries(part, "tables", problems):
        rules, table = read_table(node, pack, problems)
        found.rules.extend(rules)
        found.tables.extend([table] if table is not None else [])
    for node in _entries(part, "score_cards", problems):
        rules, card = read_card(node, pack, problems)
        found.rules.extend(rules)
        found.cards.extend([card] if card is not None else [])
    used = {each.name: each for rule in found.rules[before:] for each in rule.parameters}
    check_unused(part.get("parameters"), used, problems)


def _entries(part: Mapping[str, Node], key: str, problems: list[Diagnostic]) -> list[Node]:
    node = part.get(key)
    if node is None:
        return []
    if not isinstance(node.value, list):
        problems.append(node.diagnose("shape", f"a rule pack needs a list '{key}'"))
        return []
    return node.value
