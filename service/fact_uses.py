"""Which rules and which model use a fact?

Read from the rules' own expressions and the model's own splits; nothing has to be kept in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.catalog import Catalog
from rules.cel import Language
from rules.ruleset import RuleSet
from service.bundle import Bundle


@dataclass(frozen=True, slots=True)
class FactUses:
    """`rules`: ids of the rules whose condition reads the fact; `gain`: its share of the model's
    split gain in [0, 1], None for what is no input of the model."""

    rules: tuple[str, ...]
    gain: float | None


def uses_of(catalog: Catalog, ruleset: RuleSet, bundle: Bundle | None) -> dict[str, FactUses]:
    """Give the uses of every fact that a rule may name; without a bundle every gain is None."""
    language = Language(catalog.fact_types)
    readers: dict[str, list[str]] = {}
    for rule in ruleset.rules:
        names = {name.removeprefix("known.") for name in language.facts_used(rule.when)}
        for name in names:  # `known.x` asks whether x is known
            readers.setdefault(name, []).append(rule.id)
    gains = {} if bundle is None else gain_shares(bundle.model_text, bundle.manifest.features)
    return {
        name: FactUses(tuple(readers.get(name, ())), gains.get(name)) for name in catalog.fact_types
    }


def gain_shares(model_text: str, features: tuple[str, ...] | list[str]) -> Mapping[str, float]:
    """Give each input's share of the split gain over all trees of a LightGBM text model.

    >>> gain_shares("split_feature=0 1 0\\nsplit_gain=2 1 1\\n", ["a", "b", "c"])
    {'a': 0.75, 'b': 0.25, 'c': 0.0}
    """
    totals = [0.0] * len(features)
    split: list[int] = []
    for line in model_text.splitlines():
        key, _, numbers = line.partition("=")
        if key == "split_feature":
            split = [int(number) for number in numbers.split()]
        elif key == "split_gain":
            for place, gain in zip(split, numbers.split(), strict=True):
                totals[place] += float(gain)
    whole = sum(totals) or 1.0
    return {name: total / whole for name, total in zip(features, totals, strict=True)}
