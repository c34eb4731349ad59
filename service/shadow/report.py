"""How do a rule set in shadow and the one that decides differ?

From the counts of all workers. Every decision was made by both, so a share of changed decisions
needs no second group; its interval says how sure it is. Invariant: what was dropped or failed is
part of the report, for it tells how much was not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rules.decision import Outcome
from service.evidence.shares import Share

_DECLINE = Outcome.DECLINE.value

_RUN = """
SELECT coalesce(sum(evaluated), 0)::bigint AS evaluated, coalesce(sum(failed), 0)::bigint AS failed,
    coalesce(sum(dropped), 0)::bigint AS dropped, min(hour) AS since,
    max(hour) + interval '1 hour' AS until
FROM shadow_run WHERE version = $1
    AND ($2::timestamptz IS NULL OR hour >= $2) AND ($3::timestamptz IS NULL OR hour < $3)
"""
_BASELINES = """
SELECT baseline FROM shadow_tally WHERE version = $1
    AND ($2::timestamptz IS NULL OR hour >= $2) AND ($3::timestamptz IS NULL OR hour < $3)
GROUP BY baseline ORDER BY max(hour) DESC, baseline
"""
_CELLS = """
SELECT event_type, live_outcome, shadow_outcome, sum(decisions)::bigint AS decisions,
    sum(amount)::bigint AS amount
FROM shadow_tally WHERE version = $1
    AND ($2::timestamptz IS NULL OR hour >= $2) AND ($3::timestamptz IS NULL OR hour < $3)
GROUP BY event_type, live_outcome, shadow_outcome
"""
_EXAMPLES = """
SELECT event_type, live_outcome, shadow_outcome,
    (array_agg(encode(example, 'hex') ORDER BY hour DESC))[1:10] AS examples
FROM shadow_tally, unnest(examples) AS example
WHERE version = $1 AND live_outcome <> shadow_outcome
    AND ($2::timestamptz IS NULL OR hour >= $2) AND ($3::timestamptz IS NULL OR hour < $3)
GROUP BY event_type, live_outcome, shadow_outcome
"""
_RULES = """
SELECT event_type, rule_id, sum(live_hits)::bigint AS live_hits,
    sum(shadow_hits)::bigint AS shadow_hits, sum(both_hits)::bigint AS both_hits,
    sum(changed)::bigint AS changed, sum(unknown)::bigint AS unknown
FROM shadow_rule_tally WHERE version = $1
    AND ($2::timestamptz IS NULL OR hour >= $2) AND ($3::timestamptz IS NULL OR hour < $3)
GROUP BY event_type, rule_id
ORDER BY abs(sum(shadow_hits) - sum(live_hits)) DESC, event_type, rule_id
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Transition(_Part):
    """What became of decisions: by the set that decided, and by the set in shadow."""

    live: str
    shadow: str
    decisions: int
    amount: Annotated[int, Field(description="Minor units of the base currency.")]
    examples: Annotated[list[str], Field(description="Ids of a few of these decisions.")]


class TypeComparison(_Part):
    """One event type."""

    event_type: str
    decisions: int
    changed: Share
    severer: Share
    milder: Share
    transitions: list[Transition]


class RuleComparison(_Part):
    """One rule of either set. `changed`: it hit in shadow, and the outcome was another."""

    event_type: str
    rule_id: str
    live_hits: int
    shadow_hits: int
    both_hits: int
    changed: int
    unknown: int


class ShadowReport(_Part):
    """A set in shadow against what decided, since it was put there or for a span of whole hours.

    `declined_more`: money of decisions that it would have declined and that were not; the other
    way round in `declined_less`. Minor units of the base currency.
    """

    version: str
    baselines: Annotated[list[str], Field(description="Versions that decided meanwhile.")]
    since: datetime | None
    until: datetime | None
    decisions: int
    failed: Annotated[int, Field(description="Decisions on which the set failed.")]
    dropped: Annotated[int, Field(description="Decisions that were not looked at: too many.")]
    currency: str
    declined_more: int
    declined_less: int
    changed: Share
    event_types: list[TypeComparison]
    rules: list[RuleComparison]


async def shadow_report(
    connection: Any,
    version: str,
    currency: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> ShadowReport:
    """Return the report of a version; for one that was never in shadow it is all zeros."""
    span = (version, since, until)
    run = await connection.fetchrow(_RUN, *span)
    baselines = [row["baseline"] for row in await connection.fetch(_BASELINES, *span)]
    examples = {
        (row["event_type"], row["live_outcome"], row["shadow_outcome"]): row["examples"]
        for row in await connection.fetch(_EXAMPLES, *span)
    }
    by_type: dict[str, list[Transition]] = {}
    for row in await connection.fetch(_CELLS, *span):
        key = (row["event_type"], row["live_outcome"], row["shadow_outcome"])
        by_type.setdefault(row["event_type"], []).append(
            Transition(
                live=row["live_outcome"],
                shadow=row["shadow_outcome"],
                decisions=row["decisions"],
                amount=row["amount"],
                examples=examples.get(key, []),
            )
        )
    every = [transition for of_type in by_type.values() for transition in of_type]
    return ShadowReport(
        version=version,
        baselines=baselines,
        since=run["since"],
        until=run["until"],
        decisions=run["evaluated"],
        failed=run["failed"],
        dropped=run["dropped"],
        currency=currency,
        declined_more=sum(t.amount for t in every if t.live != _DECLINE == t.shadow),
        declined_less=sum(t.amount for t in every if t.live == _DECLINE != t.shadow),
        changed=_share(every, lambda t: t.live != t.shadow),
        event_types=[_comparison(name, found) for name, found in sorted(by_type.items())],
        rules=[RuleComparison(**dict(row)) for row in await connection.fetch(_RULES, *span)],
    )


def _comparison(event_type: str, transitions: Sequence[Transition]) -> TypeComparison:
    return TypeComparison(
        event_type=event_type,
        decisions=sum(transition.decisions for transition in transitions),
        changed=_share(transitions, lambda t: t.live != t.shadow),
        severer=_share(transitions, lambda t: Outcome(t.live) < t.shadow),
        milder=_share(transitions, lambda t: Outcome(t.live) > t.shadow),
        transitions=sorted(transitions, key=lambda t: (t.live == t.shadow, -t.decisions)),
    )


def _share(transitions: Sequence[Transition], holds: Callable[[Transition], bool]) -> Share:
    return Share.counted(
        sum(transition.decisions for transition in transitions if holds(transition)),
        sum(transition.decisions for transition in transitions),
    )
