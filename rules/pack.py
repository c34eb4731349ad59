"""How does a YAML pack become rules?

Invariant: reading never raises and never stops at the first problem: every rule that can be
understood is returned beside every problem found, each with its place.
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.diagnostic import Diagnostic
from rules.document import Node, check_keys, read
from rules.parameters import read_parameters
from rules.reading import Reader
from rules.rule import Rule
from rules.rule_entry import Pack, check_unused, read_rule

PACK_KEYS = ("pack", "owner", "parameters", "rules")


def parse_packs(
    packs: Mapping[str, str], tables: Mapping[str, str] | None = None
) -> tuple[list[Rule], list[Diagnostic]]:
    """Return the rules of packs given as file name -> text, and every problem.

    `tables` are the files that decision tables of the packs may name.
    """
    rules: list[Rule] = []
    problems: list[Diagnostic] = []
    for name in sorted(packs):
        root, found = read(name, packs[name])
        problems += found
        if root is not None:
            rules += _pack(root, tables or {}, problems)
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


def _pack(root: Node, tables: Mapping[str, str], problems: list[Diagnostic]) -> list[Rule]:
    part = check_keys(root, PACK_KEYS, "a rule pack", problems)
    owner = Reader(part, root, problems).text("owner", "")
    pack = Pack(owner, read_parameters(part.get("parameters"), problems), tables)
    listed = part.get("rules")
    if listed is None or not isinstance(listed.value, list):
        if isinstance(root.value, dict):
            place = listed or root
            problems.append(place.diagnose("shape", "a rule pack needs a list 'rules'"))
        return []
    found = [read_rule(node, pack, problems) for node in listed.value]
    rules = [rule for rule in found if rule is not None]
    used = {each.name: each for rule in rules for each in rule.parameters}
    check_unused(part.get("parameters"), used, problems)
    return rules
