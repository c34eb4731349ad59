"""The shipped rules on real events: what a caller leaves out is never an unknown rule."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rules
from features.catalog import Catalog
from features.event import InvalidEvent, parse_event
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from features.observe import observation_of
from features.tags import Tagger, derive_tag_keys
from features.vector import assemble
from features.velocity.memory_store import MemoryVelocityStore
from rules.engine import Engine
from rules.ruleset import RuleSet

CATALOG = Catalog.load()
ENGINE = Engine(RuleSet.load(Path(rules.__file__).parent / "packs"), CATALOG.fact_types)
CURRENCIES = CurrencyTable("CNY", {"CNY": 2}, {})
TAGGER = Tagger(derive_tag_keys(b"k" * 32))


def variants(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the event, and the event without each of its parts and values in turn."""
    yield body
    for part, content in body.items():
        yield {key: value for key, value in body.items() if key != part}
        if isinstance(content, dict):
            for name in content:
                less = copy.deepcopy(body)
                del less[part][name]
                yield less


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_no_rule_is_unknown_while_the_counters_answer(event_type: str) -> None:
    """With a working store each rule is a hit or none, whatever optional value is left out."""
    store = MemoryVelocityStore()
    seen = 0
    for index, body in enumerate(variants(EVENT_TYPES[event_type].example)):
        try:
            event = parse_event(json.dumps(body).encode())
        except InvalidEvent:  # this one was not optional
            continue
        when_ms = 1_800_000_000_000 + index * 1000
        observation = observation_of(event, CATALOG, TAGGER, CURRENCIES, when_ms)
        observation = observation._replace(event_tag=f"event-{index}")
        facts = assemble(event, store.observe_now(observation), CATALOG, CURRENCIES)
        hits = ENGINE.evaluate(event_type, facts.values)
        assert [hit.rule_id for hit in hits if hit.status != "hit"] == []
        assert hits == ENGINE.evaluate_one_by_one(event_type, facts.values)
        seen += 1
    assert seen > 5


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_without_counters_rules_are_unknown_and_not_silent(event_type: str) -> None:
    """With the store down, what needs a counter is unknown; nothing is an error."""
    event = parse_event(json.dumps(EVENT_TYPES[event_type].example).encode())
    hits = ENGINE.evaluate(event_type, assemble(event, {}, CATALOG, CURRENCIES).values)
    assert {hit.status.value for hit in hits} <= {"hit", "unknown"}
    assert any(hit.status == "unknown" for hit in hits)
