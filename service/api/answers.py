"""What do the answers of the API look like?

These models are the documentation (OpenAPI) of what `service/decider.py` writes; a test holds real
answers against them. They are not on the decision path.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

OutcomeName = Literal["approve", "challenge", "review", "decline"]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReasonText(_Answer):
    """A reason in the languages of the shop."""

    en: str
    zh: str


class ReasonAnswer(_Answer):
    """Why the outcome is not simply `approve`; at most four, the weightiest first."""

    code: Annotated[str, Field(description="Stable reason code, `UPPER_SNAKE`.")]
    text: ReasonText
    source: Annotated[
        str, Field(description="`rule:<id>`, `model`, `policy` or `list:human_review`.")
    ]


class RuleHitAnswer(_Answer):
    """A rule that hit, or that could not be known."""

    rule_id: str
    status: Literal["hit", "unknown", "error"]
    outcome: OutcomeName
    mode: Annotated[
        Literal["live", "shadow", "stopped"],
        Field(description="Only a live rule has an effect; `stopped`: by an emergency stop."),
    ]


class StepUpAnswer(_Answer):
    """What to ask of the person before going on; present when the outcome is `challenge`."""

    method: Annotated[
        str,
        Field(description="The step-up to ask for, such as `one_time_code` or `three_d_secure`."),
    ]
    delay_seconds: Annotated[
        int, Field(ge=0, description="Wait this long before the next attempt is let through.")
    ]


class VersionsAnswer(_Answer):
    """What decided, each by the hash of its content."""

    rule_set: str
    bundle: str | None
    catalog: str
    policy: str
    code: str


class ScoreAnswer(_Answer):
    """The decision about an event."""

    decision_id: str
    event_id: str
    type: str
    outcome: OutcomeName
    score: Annotated[
        float | None,
        Field(ge=0, le=1, description="Calibrated probability of abuse; null without a model."),
    ]
    reasons: Annotated[list[ReasonAnswer], Field(max_length=4)]
    rule_hits: list[RuleHitAnswer]
    step_up: StepUpAnswer | None
    versions: VersionsAnswer
    degraded: Annotated[
        list[str], Field(description="What was missing when we decided; empty when all was there.")
    ]
    observed_at: datetime
    latency_ms: Annotated[
        float, Field(ge=0, description="From acceptance to the decision, before it was recorded.")
    ]


class EventAnswer(_Answer):
    """The event was counted; there is nothing to decide."""

    event_id: str
    entry_id: str
    recorded: Literal[True]
    degraded: list[str]
    observed_at: datetime


class ProblemEntry(_Answer):
    """One thing that is wrong in the body."""

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901) to the member.")]
    code: str
    detail: str


class ProblemAnswer(_Answer):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    problems: list[ProblemEntry] | None = None


class ResourceState(_Answer):
    """One thing that the service needs."""

    ok: bool
    detail: str


class TokenAnswer(_Answer):
    """A token for the collector script."""

    token: Annotated[str, Field(description="For `TouchstoneCollector.collect({ token })`.")]
    expires_in_seconds: int


class ReadyAnswer(_Answer):
    """Whether requests should be sent here, and why (not)."""

    ready: bool
    resources: dict[str, ResourceState]
