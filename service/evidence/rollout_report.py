"""How did a candidate decide for its share, and how the live set for all others?

Invariant: what is compared happened in the same time, with subjects that the share divided; who
belongs to no subject is in neither group.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.evidence.shares import Share


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RolloutQuestion(BaseModel):
    """What a report is asked for: the last rollout of this version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str


class Difference(_Part):
    """One measure in both groups. The interval of 95 % is of candidate less live."""

    measure: Annotated[
        str,
        Field(
            description=(
                "`declined`, `reviewed`, `challenged` of the decisions; `abusive_of_declined` and "
                "`abusive_of_approved` of those with a label; `rule:<id>` hits of the decisions."
            )
        ),
    ]
    candidate: Share
    live: Share
    difference: float | None
    low: float
    high: float
    is_clear: Annotated[bool, Field(description="Whether the interval is on one side of zero.")]


class Group(_Part):
    """One side. Amounts in minor units of the base currency, by outcome."""

    decisions: int
    subjects: int
    labelled: int
    outcomes: dict[str, int]
    amounts: dict[str, int]


class TypeGroups(_Part):
    """One event type, or all of them (`event_type` null)."""

    event_type: str | None
    candidate: Group
    live: Group
    differences: list[Difference]


class RolloutReport(_Part):
    """A candidate against the live set, over a time in which the share stayed the same.

    `share_percent`: what the rollout asked for; `subjects`: what came of it. `is_share_expected`
    false: the groups differ in size more than chance explains, so do not trust the differences.
    """

    version: str
    baseline: str
    share_percent: float
    since: datetime
    until: datetime
    is_under_way: bool
    is_cut: Annotated[bool, Field(description="Only the latest decisions were read: too many.")]
    decisions: int
    unreadable: Annotated[int, Field(description="Entries that are erased or cannot be read.")]
    without_subject: int
    others: Annotated[int, Field(description="Decisions of other versions, left out.")]
    currency: str
    subjects: Share
    is_share_expected: bool
    event_types: list[TypeGroups]
