"""What did the rules say of events of which it is known what they turned out to be?

Only those entries are opened, the latest first, so that it takes seconds whatever the ledger holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from service.history.decisions import DecisionReader, RecordedDecision
from service.history.money import amount_of
from service.turns import in_parts

# 5 to 10 seconds of opening; more of the latest would hardly change a share.
MOST = 100_000

_LABELLED = """
SELECT event_tag, label FROM (
    SELECT DISTINCT ON (event_tag) event_tag, label, observed_at
    FROM label WHERE observed_at >= $1 AND observed_at < $2 AND known_at <= $3
    ORDER BY event_tag, known_at DESC, label DESC NULLS LAST, id DESC
) latest WHERE label IS NOT NULL ORDER BY observed_at DESC, event_tag LIMIT $4
"""


class Labelled(NamedTuple):
    """A decision about an event with a label.

    `hits`: rules that hit, however they stood; `live`: those of them that had an effect.
    """

    observed_ms: int
    event_type: str
    rule_set: str
    is_abusive: bool
    amount_minor: int
    hits: frozenset[str]
    live: frozenset[str]


async def labels_since(
    connection: Any, since: datetime, until: datetime, as_of: datetime
) -> dict[str, bool]:
    """Return event tag -> whether it was abusive, of the latest events that have a label."""
    rows = await connection.fetch(_LABELLED, since, until, as_of, MOST)
    return {row["event_tag"]: row["label"] == 1 for row in rows}


async def labelled_decisions(
    reader: DecisionReader, labels: dict[str, bool]
) -> AsyncIterator[list[Labelled]]:
    """Yield the decisions about these events, in parts; those that cannot be read are left out."""
    for tags in in_parts(list(labels)):
        yield [
            labelled_of(decision, is_abusive=labels[decision.event.event_tag])
            for decision in await reader.of_events(tags)
        ]


def labelled_of(decision: RecordedDecision, *, is_abusive: bool) -> Labelled:
    """Return what counts of one decision."""
    hits = [hit for hit in decision.hits if hit.status == "hit"]
    return Labelled(
        observed_ms=decision.place.observed_ms,
        event_type=str(decision.event.fields["event.type"]),
        rule_set=decision.rule_set,
        is_abusive=is_abusive,
        amount_minor=amount_of(decision.event) or 0,
        hits=frozenset(hit.rule_id for hit in hits),
        live=_ids(hits, "live"),
    )


def _ids(hits: Sequence[Any], mode: str) -> frozenset[str]:
    return frozenset(hit.rule_id for hit in hits if hit.mode == mode)
