"""Which values can a rule's parameters have, and what would the rule say with each?

Invariant: a variant is the rule as it would be with other parameters within their bounds, and
nothing else of it is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from rules.diagnostic import did_you_mean
from rules.files import RuleSetFiles
from rules.pack import read_packs
from rules.parameters import Parameter, Value, filled
from rules.rule import Rule
from rules.tuning import set_parameter

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


def rules_of(files: RuleSetFiles, name: str) -> tuple[Rule, ...]:
    """Return the rule of a name, or all of a table or score card; raise `NotTunable`."""
    every = read_packs(files.packs, files.tables).rules
    found = tuple(rule for rule in every if name in (rule.id, rule.made_by))
    if not found:
        names = {rule.made_by or rule.id for rule in every}
        hint = did_you_mean(name, names)
        raise NotTunable(f"there is no rule '{name}'" + (f"; {hint}" if hint else ""))
    if not parameters_of(found):
        raise NotTunable(
            f"'{name}' has no parameters: declare its numbers under `parameters` and write"
            " {{ name }} in `when`"
        )
    return found


def parameters_of(rules: Sequence[Rule]) -> dict[str, Parameter]:
    """Return the parameters that these rules use, by name."""
    return {one.name: one for rule in rules for one in rule.parameters}


def variants_of(files: RuleSetFiles, name: str) -> list[Variant]:
    """Return the rule as it is, and with other values; raise `NotTunable`.

    All combinations where they are few; of several parameters with many values, fewer of each.
    """
    rules = rules_of(files, name)
    parameters = parameters_of(rules)
    most = max(3, int(MOST_VARIANTS ** (1 / len(parameters))))
    grids = {key: grid(one, min(most, _MOST_VALUES)) for key, one in parameters.items()}
    current = {key: one.value for key, one in parameters.items()}
    found = [Variant(current, rules)]
    for values in product(*grids.values()):
        chosen = dict(zip(grids, values, strict=True))
        if chosen != current and len(found) < MOST_VARIANTS:
            found.append(Variant(chosen, _with(files, rules, parameters, chosen)))
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


def _with(
    files: RuleSetFiles,
    rules: tuple[Rule, ...],
    parameters: Mapping[str, Parameter],
    values: Mapping[str, Value],
) -> tuple[Rule, ...]:
    rule = rules[0]
    if rule.made_by is None and rule.node is not None:
        node = rule.node.value["when"]
        changed = {key: replace(one, value=values[key]) for key, one in parameters.items()}
        before, after = (filled(node, declared, {}, []) for declared in (parameters, changed))
        assert before is not None
        assert after is not None
        return (replace(rule, when=rule.when.replace(before.text, after.text, 1)),)
    assert rule.made_by is not None
    for key, value in values.items():
        files = set_parameter(files, rule.made_by, key, value)
    return rules_of(files, rule.made_by)
