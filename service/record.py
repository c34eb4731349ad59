"""What does the ledger keep of an event, and under whose key?

The core block holds the answer but for the caller's `event_id`, the subject block what was known
about the person: facts exactly as rules and model saw them, pseudonymous tags, and the `event_id`,
which leads back to the shop's own files. No identifier in clear, no free text, no address; of the
IP only its /24 (/48). From an entry and the versions it names the decision can be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from features.entities import network_prefix
from features.fields import Value
from features.observe import Asked
from features.vector import Facts
from service.accepted import Accepted
from service.clock import epoch_ms
from service.ledger.entry import EntryDraft
from service.subject import SUBJECT_KINDS


def learned_of(
    asked: Asked,
    outcome: str | None,
    tags: Mapping[str, str],
    fields: Mapping[str, Value],
    facts: Facts | None,
) -> dict[str, Any]:
    """Return what an event tells about its entities: enough to count and to decide it again.

    `writes` maps entity kind and series to the value that was recorded, `outcome` counted in.
    """
    writes: dict[str, dict[str, int | str]] = {}
    for kind, _, reads in asked.observation.entities:
        writes[kind] = {read.plan.name: read.value for read in reads if read.value is not None}
    for kind, _, plan, value in asked.on_outcome:
        if outcome is not None and plan.outcomes is not None and outcome in plan.outcomes:
            writes[kind][plan.name] = value
    learned: dict[str, Any] = {"tags": tags, "fields": fields, "writes": writes}
    if facts is not None:
        learned["facts"] = facts.values
        if facts.just_seen:
            learned["just_seen"] = facts.just_seen
    return learned


def draft_of(
    kind: str,
    entry_id: bytes,
    accepted: Accepted,
    answer: Mapping[str, Any],
    learned: dict[str, Any],
    versions: Mapping[str, str | None],
    terms: tuple[bytes, ...] = (),
) -> EntryDraft:
    """Return the entry (`decision` or `event`) to append for an answered event.

    `learned` is that of `learned_of`; its tags name the subject. `terms`: what it is found by.
    """
    tags = learned["tags"]
    owner = next((kind for kind in SUBJECT_KINDS if kind in tags), None)
    event = accepted.event
    subject: dict[str, Any] = {
        **learned,
        "occurred_at": event.occurred_at,
        "observed_ms": epoch_ms(accepted.observed_at),
        "event_id": event.event_id,
    }
    if event.network is not None and event.network.ip is not None:
        subject["ip_prefix"] = network_prefix(event.network.ip)
    return EntryDraft(
        entry_id=entry_id,
        type=kind,
        event_key=accepted.event_tag.encode(),
        body_hash=accepted.body_tag.encode(),
        observed_at=accepted.observed_at,
        versions={name: version for name, version in versions.items() if version is not None},
        core=orjson.dumps({"answer": {**answer, "event_id": None}}),
        subject=orjson.dumps(subject),
        subject_tag=None if owner is None else f"{owner}:{tags[owner]}",
        terms=terms,
    )
