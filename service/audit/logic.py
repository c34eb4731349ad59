"""By which logic was a recorded decision made?

The rules, the policy and the model that its entry names. What runs at the moment is at hand; older
rule sets are read from the database, beside the traffic. Invariant: nothing is said of another
version than the one that decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rules.errors import ContentError
from rules.files import POLICY
from rules.policy import Policy
from rules.rule import Rule
from rules.ruling import Ruling
from service.audit.explain import Logic
from service.audit.opened_entries import AuditEntry
from service.audit.replay import (
    RecordedAnswer,
    concluded,
    decided_again,
    differences,
    model_row,
    recorded_of,
)
from service.brain import Brain
from service.rule_sets.errors import RuleSetRejected, UnknownRuleSet
from service.rule_sets.parts import read_rules
from service.rule_sets.store import read_files
from service.scorer import Scorer


async def logic_of(brain: Brain, connection: Any, entry: AuditEntry) -> Logic:
    """Return the logic of a decision. Raises what asyncpg raises."""
    recorded = recorded_of(entry.blocks["core"], entry.blocks["subject"])
    event_type = recorded.answer["type"]
    versions = entry.header.versions
    ruling = _running(brain, versions.get("rule_set"))
    rules: Iterable[Rule]
    policy: Policy | None
    if ruling is not None:
        rules, policy = ruling.engine.ruleset.rules, ruling.policy
    else:
        rules, policy = await _stored(connection, versions.get("rule_set", ""))
    bundle = versions.get("bundle")
    has_model = bundle == (None if brain.scorer is None else brain.scorer.version)
    scorer = brain.scorer if has_model else None
    new = recorded.just_seen
    if new is None:
        new = concluded(recorded, brain.catalog.plan(event_type).novelty)
    again: Sequence[str] | None = None
    if ruling is not None and has_model:
        again = differences(recorded.answer, decided_again(recorded, ruling, scorer, new))
    return Logic(
        rules={rule.id: _plain(rule) for rule in rules},
        policy=None if policy is None else _row(policy, event_type),
        causes=_causes(scorer, recorded, new),
        again=again,
        facts={found.name: found.text["en"] for found in brain.catalog.entries},
    )


def _running(brain: Brain, version: str | None) -> Ruling | None:
    running = [brain.live, *([] if brain.rollout is None else [brain.rollout.ruling])]
    return next((ruling for ruling in running if ruling.version == version), None)


async def _stored(connection: Any, version: str) -> tuple[Iterable[Rule], Policy | None]:
    try:
        files = await read_files(connection, version)
    except (UnknownRuleSet, RuleSetRejected):
        return (), None
    try:
        rules = (await asyncio.to_thread(read_rules, files)).values()
        policy = await asyncio.to_thread(Policy.parse, POLICY, files.texts[POLICY])
    except ContentError:  # of a release that this code does not read
        return (), None
    return rules, policy


def _causes(
    scorer: Scorer | None, recorded: RecordedAnswer, new: Sequence[str]
) -> Sequence[tuple[str, float]]:
    if scorer is None or recorded.answer["score"] is None:
        return ()
    row = model_row(scorer.features, recorded.facts, new)
    return scorer.explain(row, recorded.answer["type"])


def _plain(rule: Rule) -> Mapping[str, Any]:
    return {
        "description": rule.description,
        "when": rule.when,
        "outcome": rule.outcome.value,
        "precedence": rule.precedence,
        "source": rule.threshold.source,
        "false_alarms": rule.threshold.false_alarms,
    }


def _row(policy: Policy, event_type: str) -> Mapping[str, Any]:
    row = {**asdict(policy.row(event_type))}
    floors = row.pop("when_missing")
    return {**row, **{f"when_missing {gap}": outcome.value for gap, outcome in floors.items()}}
