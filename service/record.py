"""What does the ledger keep of an event, and under whose key?

The core block holds the answer, the subject block what was known about the person: facts exactly
as rules and model saw them and pseudonymous tags. No identifier in clear, no free text, no address;
of the IP only its /24 (/48). From an entry and the versions it names the decision can be computed
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from features.entities import network_prefix
from features.vector import Facts
from features.velocity.observation import Observation
from service.accepted import Accepted
from service.ledger.entry import EntryDraft

# Whose data an entry is: the first of these that the event names owns the key of its subject block.
SUBJECT_KINDS = ("user", "email", "phone", "device", "payment_instrument", "ip")


def draft_of(
    kind: str,
    entry_id: bytes,
    accepted: Accepted,
    answer: Mapping[str, Any],
    observation: Observation,
    facts: Facts | None,
    versions: Mapping[str, str | None],
) -> EntryDraft:
    """Return the entry (`decision` or `event`) to append for an answered event."""
    tags = {entity.kind: entity.tag for entity in observation.entities}
    owner = next((kind for kind in SUBJECT_KINDS if kind in tags), None)
    event = accepted.event
    subject: dict[str, Any] = {
        "tags": tags,
        "writes": writes_of(observation),
        "occurred_at": event.occurred_at,
    }
    if facts is not None:
        subject["facts"] = facts.values
    if event.network is not None and event.network.ip is not None:
        subject["ip_prefix"] = network_prefix(event.network.ip)
    return EntryDraft(
        entry_id=entry_id,
        type=kind,
        event_key=accepted.event_tag.encode(),
        body_hash=accepted.body_tag.encode(),
        observed_at=accepted.observed_at,
        versions={name: version for name, version in versions.items() if version is not None},
        core=orjson.dumps({"answer": answer}),
        subject=orjson.dumps(subject),
        subject_tag=None if owner is None else f"{owner}:{tags[owner]}",
    )


def writes_of(observation: Observation) -> dict[str, dict[str, int | str]]:
    """Return what the event recorded per entity kind and series: enough to rebuild the counters."""
    return {
        entity.kind: {
            read.plan.name: read.value for read in entity.series if read.value is not None
        }
        for entity in observation.entities
    }
