"""The rules, the policy and the reason texts as they are shipped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import rules
from features.catalog import Catalog
from features.entities import ENTITY_KINDS
from features.event import parse_event
from features.event_types import EVENT_TYPES
from features.fields import PRESENCE
from features.known_facts import known_facts
from features.money import CurrencyTable
from features.observe import observation_of
from features.tags import Tagger, derive_tag_keys
from features.vector import assemble
from features.velocity.memory_store import MemoryVelocityStore
from rules.check import check_files, render
from rules.decision import Outcome
from rules.engine import Engine
from rules.files import RuleSetFiles
from rules.policy import Policy
from rules.reasons import Reasons
from rules.rule import Rule
from rules.ruleset import RuleSet
from service.bundle import MODEL_CAUSES

HERE = Path(rules.__file__).parent
RULES = RuleSet.load(HERE / "packs").rules
CURRENCIES = CurrencyTable("CNY", {}, {})


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


def test_everything_shipped_is_right(catalog: Catalog) -> None:
    """Each rule compiles, can be known for its types, has its texts, and answers its examples."""
    found = check_files(
        RuleSetFiles.load(),
        catalog.fact_types,
        event_types=EVENT_TYPES,
        available={name: known_facts(catalog, name) for name in EVENT_TYPES},
        entity_kinds=ENTITY_KINDS,
    )
    assert not found, render(found)


def test_there_are_more_than_a_hundred_live_rules(catalog: Catalog) -> None:
    """Sixty are asked for; whoever removes as many as that notices."""
    assert sum(rule.mode == "live" for rule in RULES) >= 110
    assert Engine(RuleSet.of(RULES), catalog.fact_types).evaluate("checkout", {}) is not None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_rule_shows_itself(rule: Rule) -> None:
    """Each rule has two to five examples, a table more, and says where its numbers come from."""
    assert 2 <= len(rule.examples) <= (5 if rule.made_by is None else 8)
    assert len(rule.threshold.source) > 20
    assert len(rule.threshold.false_alarms) > 20


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_what_an_absent_part_means(rule: Rule, catalog: Catalog) -> None:
    """An event without the parts that a rule looks at is no hit, and not unknown."""
    engine = Engine(RuleSet.of([rule]), catalog.fact_types)
    bare = {
        **dict.fromkeys(PRESENCE, False),
        "login.succeeded": False,
        "return_request.reason": "other",
        "return_request.amount_base_minor": 1,
    }
    for event_type in rule.event_types:
        assert engine.evaluate(event_type, bare) == []


def test_compliance_names_its_law() -> None:
    """Each rule on merchants, words and money names a Chinese law, or says that it is judgement."""
    of_merchants = [r for r in RULES if {"listing_submitted", "settlement"} & set(r.event_types)]
    assert len(of_merchants) >= 40
    for rule in of_merchants:
        source = rule.threshold.source
        assert re.search("法|条例|规定|办法|国税发|Judgement|三流合一|by definition", source), (
            rule.id
        )


def test_no_honest_example_of_the_api_is_stopped(catalog: Catalog) -> None:
    """The documentation's own offer and settlement meet no rule."""
    engine = Engine(RuleSet.of(RULES), catalog.fact_types)
    store, tagger = MemoryVelocityStore(), Tagger(derive_tag_keys(bytes(32)))
    for kind in ("listing_submitted", "settlement"):
        event = parse_event(json.dumps(EVENT_TYPES[kind].example).encode())
        asked = observation_of(event, catalog, tagger, CURRENCIES, 1_800_000_000_000)
        facts = assemble(event, store.observe_now(asked), catalog, CURRENCIES)
        assert engine.evaluate(kind, facts.values) == []


def test_nobody_is_locked_out() -> None:
    """Rules on log-ins delay and challenge; none refuses, for an attacker could trigger it."""
    of_login = [rule for rule in RULES if "login" in rule.event_types]
    assert of_login
    assert {rule.outcome for rule in of_login} == {Outcome.CHALLENGE}
    by_account = [r for r in of_login if re.search(r"\buser_login", r.when) and "new" not in r.id]
    assert by_account
    assert max(rule.delay_seconds for rule in by_account) <= 30
    row = Policy.load(HERE / "policy.yaml").row("login")
    assert row.outcome_of(1.0) is Outcome.CHALLENGE


def test_reasons_are_those_that_are_given() -> None:
    """Each code is some rule's, the model's or the policy's, in both languages, without numbers."""
    reasons = Reasons.load(HERE / "reasons.yaml").texts
    kinds = {kind: {c for c, r in reasons.items() if r.kind == kind} for kind in ("rule", "model")}
    assert kinds["rule"] == {rule.reason for rule in RULES}
    assert kinds["model"] == MODEL_CAUSES
    for reason in reasons.values():
        assert not re.search(r"\d", reason.en + reason.zh), reason.code
        assert reason.en.isascii()
        assert re.search(r"[\u4e00-\u9fff]", reason.zh), reason.code


def test_the_policy_names_every_event_type() -> None:
    """No shipped event type falls to the default row unseen."""
    assert set(Policy.load(HERE / "policy.yaml").rows) == set(EVENT_TYPES)


def test_the_readme_names_every_rule_and_reason() -> None:
    """What is shipped is documented."""
    pages = (HERE / "README.md", HERE / "packs" / "README.md")
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    for rule in RULES:
        outcome = (
            rule.outcome if rule.precedence == "normal" else f"{rule.precedence} {rule.outcome}"
        )
        assert re.search(rf"^\| `{rule.id}` \| {outcome}.*`{rule.reason}`", text, re.MULTILINE), (
            rule.id
        )
    for code in Reasons.load(HERE / "reasons.yaml").texts:
        assert f"`{code}`" in text, code
