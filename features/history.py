"""What is one event of the past, and as which columns does it stand in a file?

Extracts of the ledger and files of raw events become rows of this one shape; the offline executor,
the profiles and the rebuild of the velocity store read nothing else.
Invariant: rows are in the order in which the service accepted the events (`position`), identifiers
are keyed tags, and what an event did not state is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from features.entities import ENTITY_KINDS
from features.fields import FIELD_TYPES, Value

# Columns of every history file, with the types that fields have too; times are Unix milliseconds.
# `outcome` is that of the decision, null for an event that was only counted or never decided.
COLUMNS: dict[str, str] = {
    "position": "int",
    "observed_ms": "int",
    "occurred_ms": "int",
    "event_tag": "string",
    "outcome": "string",
    **{f"tag.{kind}": "string" for kind in ENTITY_KINDS},
    **FIELD_TYPES,
}


class HistoryEvent(NamedTuple):
    """One event of the past.

    - `position`: strictly increasing in the order of acceptance.
    - `tags`: entity kind -> keyed tag, for the entities that the event names.
    - `fields`: what `features.fields.fields_of` gave for it; `event.type` is always there.
    - `facts`: everything that was known when it was decided; empty in files of raw events.
    """

    position: int
    observed_ms: int
    occurred_ms: int
    event_tag: str
    outcome: str | None
    tags: Mapping[str, str]
    fields: Mapping[str, Value]
    facts: Mapping[str, Value]

    def row(self) -> dict[str, Value | None]:
        """Give the event as one row of `COLUMNS`."""
        values: dict[str, Value | None] = {
            "position": self.position,
            "observed_ms": self.observed_ms,
            "occurred_ms": self.occurred_ms,
            "event_tag": self.event_tag,
            "outcome": self.outcome,
        }
        for kind in ENTITY_KINDS:
            values[f"tag.{kind}"] = self.tags.get(kind)
        for name in FIELD_TYPES:
            values[name] = self.fields.get(name)
        return values
