"""What do requests and answers about approvals, deployments and emergency stops look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.rule_sets.store import Deployment, Stop
from service.texts import Note, Reason

RuleId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,199}$"),
    Field(description="The rule's id, such as `coupon-alias-email`."),
]
SharePercent = Annotated[
    float, Field(ge=0.01, le=99.99, description="For how many of a hundred subjects it decides.")
]


class Body(BaseModel):
    """A request: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NoteBody(Body):
    """A word about it."""

    note: Note = ""


class SubmitBody(NoteBody):
    """What speaks for a version. Default: its newest finished backtest against what is live."""

    backtest: str | None = Field(None, max_length=36, description="The id of a backtest.")


class DecideBody(NoteBody):
    """An approval. `submission`: what was looked at; refused if it was submitted again since."""

    submission: int | None = Field(None, ge=1, lt=2**63)


class RejectBody(Body):
    """A no, with its reason."""

    note: Reason
    submission: int | None = Field(None, ge=1, lt=2**63)


class ShareBody(NoteBody):
    """A share of the subjects."""

    share_percent: SharePercent


class StopBody(Body):
    """Which rule shall have no effect, and why."""

    rule: RuleId
    reason: Reason


class SubmissionAnswer(BaseModel):
    """A version that waits for approval, and what speaks for it."""

    id: int
    version: str
    baseline: str = Field(description="What it was compared with, and is to replace.")
    check_id: int
    backtest_id: str
    actor: str
    note: str
    submitted_at: datetime


class ApprovalAnswer(BaseModel):
    """An approval and what it is bound to: it lapses when any of that changes."""

    version: str
    baseline: str
    check_id: int
    backtest_id: str
    submitted_by: str
    actor: str
    note: str
    approved_at: datetime


class RejectionAnswer(BaseModel):
    """A no."""

    version: str
    submitted_by: str
    actor: str
    note: str
    rejected_at: datetime


class DeploymentAnswer(BaseModel):
    """What runs since a change, and who made it."""

    revision: int
    action: str
    live: str
    candidate: str | None
    share_percent: float | None
    shadows: list[str]
    actor: str
    note: str
    deployed_at: datetime

    @classmethod
    def of(cls, found: Deployment) -> DeploymentAnswer:
        """Return a deployment as it is answered."""
        share = found.candidate_share_bp
        return cls(
            revision=found.revision,
            action=found.action,
            live=found.live,
            candidate=found.candidate,
            share_percent=None if share is None else share / 100,
            shadows=list(found.shadows),
            actor=found.actor,
            note=found.note,
            deployed_at=found.deployed_at,
        )


class StopAnswer(BaseModel):
    """An emergency stop. `state`: `unconfirmed` has its effect until `confirm_until`."""

    rule: str
    reason: str
    state: Literal["unconfirmed", "confirmed", "lifted", "lapsed"]
    actor: str
    stopped_at: datetime
    confirm_until: datetime
    confirmed_by: str | None
    lifted_by: str | None
    lifted_at: datetime | None

    @classmethod
    def of(cls, found: Stop, now: datetime) -> StopAnswer:
        """Return a stop as it is answered at a time."""
        state: Literal["unconfirmed", "confirmed", "lifted", "lapsed"] = "lapsed"
        if found.lifted_at is not None:
            state = "lifted"
        elif found.confirmed_at is not None:
            state = "confirmed"
        elif found.is_effective(now):
            state = "unconfirmed"
        return cls(
            rule=found.rule_id,
            reason=found.reason,
            state=state,
            actor=found.actor,
            stopped_at=found.stopped_at,
            confirm_until=found.confirm_until,
            confirmed_by=found.confirmed_by,
            lifted_by=found.lifted_by,
            lifted_at=found.lifted_at,
        )
