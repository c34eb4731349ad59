"""A rule's parameters over their values: chosen before, measured after, and said truly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.catalog import Catalog
from rules.decision import HitStatus
from rules.engine import Engine
from rules.files import RuleSetFiles
from rules.ruleset import RuleSet
from rules.tuning import set_parameter
from service.backtest.case import Case
from service.cli import build_app
from tests.unit.training.suggest.past_cases import cases, some_shipped, write_parquet
from training.suggest.past import NothingToLearn
from training.suggest.presence import with_parts
from training.suggest.tune import Trial, Tuned
from training.suggest.variants import MOST_VARIANTS, NotTunable, variants_of

FACT_TYPES = Catalog.load().fact_types
PACK = """
pack: planted
owner: test
rules:
- id: planted-rule
  description: Sign-ups on one device and a large order.
  event_types: [checkout]
  parameters:
    min_signups: {type: int, value: 1, min: 0, max: 9}
    min_amount: {type: int, value: 10000, min: 0, max: 120000}
  when: >-
    has_device && device_signups_24h >= {{ min_signups }}
    && known.order.amount_base_minor && order.amount_base_minor > {{ min_amount }}
  outcome: review
  reason: COUPON_TOO_MANY
  threshold: {source: a test, false_alarms: none}
- id: fixed-rule
  description: Nothing to tune.
  event_types: [checkout]
  when: has_device
  outcome: review
  reason: COUPON_TOO_MANY
  threshold: {source: a test, false_alarms: none}
"""


SCOPED = PACK.replace("  outcome: review\n", "  outcome: review\n  regions: [CN]\n", 1)


# Its numbers are the whole pack's.
OF_THE_PACK = PACK.replace(
    "rules:",
    """parameters:
  min_signups: {type: int, value: 1, min: 0, max: 9}
  min_amount: {type: int, value: 10000, min: 0, max: 120000}
rules:""",
    1,
).replace(PACK[PACK.index("  parameters:") : PACK.index("  when:")], "", 1)


def files(text: str = PACK, *packs: str) -> RuleSetFiles:
    return some_shipped(*packs, planted=text)


def tuned(
    min_recall: float | None = None,
    min_precision: float | None = None,
    past: Sequence[Case] | None = None,
) -> Tuned:
    trial = Trial(variants_of(files(), "planted-rule"), FACT_TYPES)
    trial.add(cases() if past is None else past)
    return trial.result(0.3, min_recall, min_precision)


def test_the_planted_values_are_recommended() -> None:
    """From values that are much too low, those that abuse follows are found."""
    found = tuned(min_recall=0.7)
    values = found.recommended.variant.values
    assert values["min_signups"] == 3
    assert 40_000 <= values["min_amount"] <= 60_000
    assert found.recommended.later.precision > 2 * found.current.later.precision
    assert found.current.variant.values == {"min_signups": 1, "min_amount": 10_000}


def test_nothing_that_is_caught_is_given_up_unasked() -> None:
    """Without a least recall the recommended values catch what the current ones caught before."""
    found = tuned()
    assert found.recommended.earlier.recall >= found.current.earlier.recall
    assert found.recommended.earlier.precision >= found.current.earlier.precision


def test_a_least_precision_is_reached_with_the_most_caught() -> None:
    """Of the values that reach the precision before, those that catch the most are taken."""
    found = tuned(min_precision=0.6)
    assert found.recommended.earlier.precision >= 0.6
    for point in found.points:
        if point.earlier.precision >= 0.6 and point.earlier.hits >= 10:
            assert point.earlier.recall <= found.recommended.earlier.recall
    assert tuned(min_precision=1.0).recommended.variant.values == found.current.variant.values


def test_values_are_chosen_before_and_measured_after() -> None:
    """Where abuse changes in the end, the values are still those that the time before asked for."""
    found = tuned(min_recall=0.5, past=cases(flip_later=True))
    reach = [one for one in found.points if one.earlier.recall >= 0.5 and one.earlier.hits >= 10]
    best = max(one.earlier.precision_interval[0] for one in reach)
    assert found.recommended.earlier.precision_interval[0] == best
    assert found.recommended.later.precision < 0.5 < found.recommended.earlier.precision


def test_a_handful_of_hits_recommends_nothing() -> None:
    """Values that never erred because they hardly ever hit are not recommended."""
    found = tuned(min_precision=1.0, past=cases(150))
    never_wrong = [one for one in found.points if one.earlier.precision == 1.0]
    assert never_wrong
    assert all(one.earlier.hits < 10 for one in never_wrong)
    assert found.recommended is found.current


def test_the_curve_has_no_beaten_point() -> None:
    """Along the curve precision rises while recall falls."""
    curve = tuned().curve()
    recalls = [point.later.recall for point in curve]
    precisions = [point.later.precision for point in curve]
    assert recalls == sorted(recalls, reverse=True)
    assert precisions == sorted(precisions)
    assert len(curve) > 3


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (PACK, "planted-rule"),
        (SCOPED, "planted-rule"),
        (OF_THE_PACK, "planted-rule"),
        (PACK, "refund-only"),
        (PACK, "payment-contradictions"),
    ],
)
def test_a_variant_is_the_rule_with_other_values(text: str, name: str) -> None:
    """Each variant of a rule, table or card is what `rules set` would make of it, and loads."""
    whole = files(text, "after_sales", "payment_fraud")
    found = variants_of(whole, name)
    assert 1 < len(found) <= MOST_VARIANTS
    for variant in (found[0], found[1], found[-1]):
        changed = whole
        for parameter, value in variant.values.items():
            changed = set_parameter(changed, name, parameter, value)
        rules = RuleSet.parse(changed.packs, changed.tables).rules
        same = {rule.id: rule.when for rule in rules if name in (rule.id, rule.made_by)}
        assert {rule.id: rule.when for rule in variant.rules} == same


def test_figures_are_what_the_engine_says() -> None:
    """The hits of a variant are those of the rule with its values, event by event."""
    some = cases(600)
    trial = Trial(variants_of(files(), "planted-rule"), FACT_TYPES)
    trial.add(some)
    for point in trial.result(0.3, None, None).points[::20]:
        rule = point.variant.rules[0]
        engine = Engine(RuleSet.of([rule]), FACT_TYPES)
        hits = [
            hit
            for case in some
            for hit in engine.evaluate("checkout", with_parts(case.facts, FACT_TYPES))
            if hit.status is HitStatus.HIT
        ]
        assert len(hits) == point.earlier.hits + point.later.hits


def test_what_cannot_be_tuned_says_why() -> None:
    """A rule that there is not, one without parameters, and too few labels are told apart."""
    with pytest.raises(NotTunable, match="did you mean 'planted-rule'"):
        variants_of(files(), "planted-rul")
    with pytest.raises(NotTunable, match="has no parameters"):
        variants_of(files(), "fixed-rule")
    trial = Trial(variants_of(files(), "planted-rule"), FACT_TYPES)
    trial.add([one._replace(label=0) for one in cases(200)])
    with pytest.raises(NothingToLearn, match="0 abusive events"):
        trial.result(0.3, None, None)


def test_both_commands_read_a_file(tmp_path: Path) -> None:
    """From a table of facts `tune` gives the values, and `suggest` a pack that joins the rules."""
    data = str(write_parquet(tmp_path / "facts.parquet", cases()))
    rules = tmp_path / "rules"
    files().write(rules)
    run = CliRunner()
    words = ["rules", "tune", "planted-rule", data, "--rules", str(rules), "--json"]
    answer = run.invoke(build_app(words), words)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found["current"]["values"] == {"min_signups": 1, "min_amount": 10_000}
    out = tmp_path / "suggested.yaml"
    words = ["rules", "suggest", data, "--rules", str(rules), "--out", str(out), "--top", "2"]
    answer = run.invoke(build_app(words), words)
    assert answer.exit_code == 0, answer.output
    assert "pack: suggested" in out.read_text()
    joined = RuleSetFiles.of({**files().texts, "packs/suggested.yaml": out.read_text()})
    assert len(RuleSet.parse(joined.packs, joined.tables).rules) > len(
        RuleSet.parse(files().packs, files().tables).rules
    )
