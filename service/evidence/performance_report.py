"""What does a report on the performance of rules say, and what is it asked?

The models of the answer of `GET /v1/rules/performance`, which is what its process hands back.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.evidence.shares import Share

Flag = Literal["silent", "sudden", "never_hit", "often_unknown"]
# Something changed, or is broken: somebody should look.
URGENT: frozenset[Flag] = frozenset({"silent", "sudden", "often_unknown"})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PerformanceQuestion(BaseModel):
    """What a report is asked for: `live` is the rule set that decides at the moment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    live: str
    days: int
    recent_hours: int


class Drift(_Model):
    """How often a rule hits lately, and how often before."""

    recent: Share
    before: Share
    ratio: Annotated[float | None, Field(description="Recent over before; null without a before.")]
    difference_low: Annotated[
        float, Field(description="The difference of both shares: lower end of the 95 % interval.")
    ]
    difference_high: float


class RuleDay(_Model):
    """A rule on one day (UTC)."""

    day: date
    evaluated: int
    hits: int
    abusive: Annotated[int, Field(description="Hits whose event turned out to be abuse.")]
    honest: Annotated[int, Field(description="Hits whose event turned out to be honest.")]


class RulePerformance(_Model):
    """How one rule did. Hits count however the rule stood; only `live` had an effect."""

    rule_id: str
    is_live: Annotated[bool, Field(description="It is in the live rule set, and not off.")]
    event_types: list[str]
    flags: list[Flag]
    evaluated: Annotated[
        int, Field(description="Decisions of its event types by rule sets that have the rule.")
    ]
    hits: dict[str, int]
    unknown: Annotated[int, Field(description="It could not be known whether it hits.")]
    errors: int
    hit_rate: Share
    last_hit_at: datetime | None
    amount_minor: Annotated[int, Field(description="Money of all hits, base currency minor units.")]
    declined: Annotated[int, Field(description="Live hits in decisions that were declined.")]
    declined_amount_minor: int
    precision: Annotated[Share, Field(description="Abuse among hits with a label.")]
    recall: Annotated[
        Share, Field(description="Its part of all labelled abuse of its event types.")
    ]
    caught_alone: Annotated[
        int,
        Field(description="Abuse that no other live rule hit: what would be missed without it."),
    ]
    false_alarms: Annotated[
        Share, Field(description="Honest events that it hit, of all honest ones with a label.")
    ]
    abusive_amount_minor: int
    honest_amount_minor: int
    drift: Drift
    days: list[RuleDay]


class PerformanceReport(_Model):
    """How the rules did over time; what needs attention comes first."""

    since: datetime
    until: datetime
    recent_since: Annotated[datetime, Field(description="`recent` begins here.")]
    as_of: Annotated[datetime, Field(description="Labels that were known then.")]
    rule_set: Annotated[str, Field(description="The live one.")]
    decisions: int
    labelled_abusive: int
    labelled_honest: int
    is_cut: Annotated[
        bool, Field(description="There are more labels; those of the latest events are used.")
    ]
    unreadable: Annotated[
        int, Field(description="Labelled events without a decision that can be read.")
    ]
    currency: Annotated[str, Field(description="The base currency, in which amounts are.")]
    minor_units: Annotated[int, Field(description="Its decimals: 2 where 100 minor units are one.")]
    rules: list[RulePerformance]
