"""Which values can a rule's parameters have, and what would the rule say with each?

Invariant: a variant is the rule as it would be with other parameters within their bounds, and
nothing else of it is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from rules.diagnostic import Diagnostic, did_you_mean
from rules.document import Node, read
from rules.files import RuleSetFiles
from rules.pack import read_packs
from rules.parameters import Declared, Parameter, Value, read_parameters
from rules.rule import Rule
from rules.rule_entry import Pack, read_rule
from rules.score_card import read_card
from rules.table import read_table

# Values in all. One rule with so many is evaluated at 0.5 us each: 0.1 ms an event.
MOST_VARIANTS = 200
_MOST_VALUES = 41


class NotTunable(Exception):
    """There is no such rule, or nothing of it can be tuned; the text says why."""

    code = "not_tunable"


@dataclass(frozen=True, slots=True)
class Variant:
    """The values of all parameters, and the rules that they make (several for a table or card)."""

    values: Mapping[str, Value]
    rules: tuple[Rule, ...]


def variants_of(files: RuleSetFiles, name: str) -> list[Variant]:
    """Return the rule, table or card as it is, and with other values; raise `NotTunable`.

    All combinations where they are few; of several parameters with many values, fewer of each.
    """
    entry = _entry(files, name)
    if entry is None:
        every = read_packs(files.packs, files.tables).rules
        hint = did_you_mean(name, {rule.made_by or rule.id for rule in every})
        raise NotTunable(f"there is no rule '{name}'" + (f"; {hint}" if hint else ""))
    rules = entry.rules({})
    parameters = {one.name: one for rule in rules for one in rule.parameters}
    if not parameters:
        raise NotTunable(
            f"'{name}' has no parameters: declare its numbers under `parameters` and write"
            " {{ name }} in `when`"
        )
    most = max(3, int(MOST_VARIANTS ** (1 / len(parameters))))
    grids = {key: grid(one, min(most, _MOST_VALUES)) for key, one in parameters.items()}
    current = {key: one.value for key, one in parameters.items()}
    found = [Variant(current, rules)]
    for values in product(*grids.values()):
        chosen = dict(zip(grids, values, strict=True))
        made = entry.rules(chosen) if chosen != current and len(found) < MOST_VARIANTS else ()
        if made:
            found.append(Variant(chosen, made))
    return found


def grid(parameter: Parameter, most: int) -> tuple[Value, ...]:
    """Return values from bound to bound, the current one among them.

    >>> grid(Parameter("n", "int", 3, 1, 6), 41)
    (1, 2, 3, 4, 5, 6)
    >>> 20 in grid(Parameter("n", "int", 20, 1, 1000), 8)
    True
    """
    if parameter.type == "bool":
        return (False, True)
    if parameter.one_of:
        return tuple(dict.fromkeys((parameter.value, *parameter.one_of)))[:most]
    low, high = float(parameter.minimum or 0), float(parameter.maximum or 0)
    number: type[int] | type[float] = int if parameter.type == "int" else float
    if parameter.type == "int" and high - low < most:
        return tuple(range(int(low), int(high) + 1))
    # Half of them evenly, half of them dense where the numbers are small.
    even = np.linspace(low, high, most // 2)
    dense = low + np.geomspace(1, high - low + 1, most - most // 2 + 1)[1:] - 1
    values = {number(float(f"{value:.4g}")) for value in (*even, *dense, float(low), float(high))}
    inside = sorted(value for value in values if low <= value <= high)
    picked = np.linspace(0, len(inside) - 1, min(most, len(inside))).round().astype(int)
    kept = [inside[at] for at in picked]
    assert isinstance(parameter.value, int | float)
    nearest = min(kept, key=lambda value: abs(value - float(parameter.value)))
    return tuple(sorted({value for value in kept if value != nearest} | {parameter.value}))


class _Entry(NamedTuple):
    """Where a rule, table or card stands: in which list of which pack, and what the pack says."""

    section: str
    node: Node
    owner: str
    declared: Declared
    tables: Mapping[str, str]

    def rules(self, values: Mapping[str, Value]) -> tuple[Rule, ...]:
        """Return the rules that it makes with these values of its parameters.

        None for values that contradict each other, as two thresholds of a card may.
        """
        declared = {
            name: one if one is None or name not in values else replace(one, value=values[name])
            for name, one in self.declared.items()
        }
        pack = Pack(self.owner, declared, self.tables)
        node, problems, rules = _with(self.node, values), list[Diagnostic](), list[Rule]()
        if self.section == "rules":
            rule = read_rule(node, pack, problems)
            rules = [] if rule is None else [rule]
        elif self.section == "tables":
            rules, _ = read_table(node, pack, problems)
        else:
            rules, _ = read_card(node, pack, problems)
        return () if any(found.is_error for found in problems) else tuple(rules)


def _entry(files: RuleSetFiles, name: str) -> _Entry | None:
    for file, text in files.packs.items():
        root, _ = read(file, text)
        part = root.value if root is not None and isinstance(root.value, dict) else {}
        for section in ("rules", "tables", "score_cards"):
            listed = part[section].value if section in part else None
            for node in listed if isinstance(listed, list) else ():
                called = node.value.get("id") if isinstance(node.value, dict) else None
                if called is not None and called.value == name:
                    owner = part["owner"].value if "owner" in part else ""
                    declared = read_parameters(part.get("parameters"), [])
                    return _Entry(section, node, owner, declared, files.tables)
    return None


def _with(entry: Node, values: Mapping[str, Value]) -> Node:
    """Return an entry whose own parameters have these values."""
    own = entry.value.get("parameters")
    if own is None:
        return entry
    changed = {
        name: part
        if name not in values
        else replace(
            part,
            value={**part.value, "value": replace(part.value["value"], value=values[name])},
        )
        for name, part in own.value.items()
    }
    return replace(entry, value={**entry.value, "parameters": replace(own, value=changed)})
