from __future__ import annotations

from pathlib import Path

import rules
from features.catalog import Catalog
from rules.cel import Language
from rules.ruleset import RuleSet
from service.fact_uses import gain_shares, uses_of


def test_the_rules_of_a_fact_are_those_whose_condition_names_it() -> None:
    """Rules and facts agree both ways; without a bundle nothing claims a share of the model."""
    catalog = Catalog.load()
    ruleset = RuleSet.load(Path(rules.__file__).parent / "packs")
    uses = uses_of(catalog, ruleset, None)
    assert set(uses) == set(catalog.fact_types)
    assert {use.gain for use in uses.values()} == {None}
    language = Language(catalog.fact_types)
    for rule in ruleset.rules:
        named = {name for name, use in uses.items() if rule.id in use.rules}
        used = {name.removeprefix("known.") for name in language.facts_used(rule.when)}
        assert named == used, rule.id
    assert "login-device-guessing" in uses["device_login_failures_1h"].rules


def test_shares_of_gain_add_up_to_one_over_all_trees() -> None:
    """Splits of several trees add up per input; a tree without splits adds nothing."""
    text = (
        "Tree=0\nsplit_feature=0 2\nsplit_gain=3 1\nTree=1\nsplit_feature=\nsplit_gain=\n"
        "Tree=2\nsplit_feature=2\nsplit_gain=4\n"
    )
    assert gain_shares(text, ["a", "b", "c"]) == {"a": 0.375, "b": 0.0, "c": 0.625}
    assert set(gain_shares("", ["a"]).values()) == {0.0}
