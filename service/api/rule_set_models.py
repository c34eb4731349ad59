"""What do requests and answers about rule sets look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.rule_sets.status import Status
from service.rule_sets.store import Deployment, Stop

# No NUL: PostgreSQL has no text with one.
_TEXT = StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")
_REASON = StringConstraints(
    strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]*$"
)
Note = Annotated[
    str, _TEXT, Field(description="Why. It is kept for ever; no personal data of customers.")
]
Reason = Annotated[
    str, _REASON, Field(description="Why. It is kept for ever; no personal data of customers.")
]
RuleId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,199}$"),
    Field(description="The rule's id, such as `coupon-alias-email`."),
]
SharePercent = Annotated[
    float, Field(ge=0.01, le=99.99, description="For how many of a hundred subjects it decides.")
]
State = Literal[
    "live", "candidate", "shadow", "approved", "submitted", "retired", "validated", "draft"
]
Change = Literal["added", "removed", "changed"]


class Body(BaseModel):
    """A request: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PushBody(Body):
    """A whole rule set, and which version it was made from."""

    files: Annotated[
        dict[str, str],
        Field(
            description="File name (`packs/coupons.yaml`, `policy.yaml`) -> text, to the letter.",
            examples=[{"packs/coupons.yaml": "pack: coupons\n…", "policy.yaml": "…"}],
        ),
    ]
    parent: str = Field("live", description="The version it was made from: a prefix, or `live`.")
    note: Note = ""


class ParameterBody(Body):
    """Another value of a rule's parameter."""

    rule: RuleId
    parameter: str = Field(max_length=60)
    value: bool | int | float | Annotated[str, Field(max_length=1024)]
    note: Note = ""


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


class RuleSetAnswer(BaseModel):
    """A version and its state. `states`: all that are true, the one that matters most first."""

    version: str
    parent: str | None
    author: str
    note: str
    created_at: datetime
    state: State
    states: list[State]
    rules: int = Field(description="How many can be read.")

    @classmethod
    def of(cls, status: Status) -> RuleSetAnswer:
        """Return a status as it is answered."""
        return cls.model_validate(
            {
                "version": status.version,
                "parent": status.parent,
                "author": status.author,
                "note": status.note,
                "created_at": status.created_at,
                "state": status.state,
                "states": list(status.states),
                "rules": status.rules,
            }
        )


class ProblemOfRules(BaseModel):
    """One problem or warning in a file. `text` is how a terminal shows it."""

    file: str
    line: int
    column: int
    code: str
    severity: Literal["error", "warning"]
    message: str
    hint: str
    source: str
    text: str


class CheckAnswer(BaseModel):
    """What the check found."""

    version: str
    passed: bool
    rules: int
    examples: int
    problems: list[ProblemOfRules]


class RuleScope(BaseModel):
    """What a rule is about, before or after a change. Empty lines and regions: everywhere."""

    id: str
    description: str
    outcome: str
    mode: str
    event_types: list[str]
    business_lines: list[str]
    regions: list[str]


class RuleChange(BaseModel):
    """How one rule differs; `keys`: what of its content; `diff`: a unified diff of its text."""

    id: str
    change: Change
    keys: list[str]
    before: RuleScope | None
    after: RuleScope | None
    diff: str


class FileChange(BaseModel):
    """How one file differs."""

    name: str
    change: Change
    diff: str


class DifferenceAnswer(BaseModel):
    """What is different between two versions, rule by rule and file by file.

    `whole_shop`: files whose change concerns rules of every part of the shop.
    """

    from_version: str
    to_version: str
    rules: list[RuleChange]
    files: list[FileChange]
    whole_shop: list[str]

    @classmethod
    def of(cls, found: dict[str, Any]) -> DifferenceAnswer:
        """Return what the examiner found."""
        return cls.model_validate(
            {**found, "from_version": found["from"], "to_version": found["to"]}
        )


class PushAnswer(BaseModel):
    """A stored version, what its check found and what it changes of its parent."""

    rule_set: RuleSetAnswer
    is_new: bool = Field(description="False: exactly these files were stored before.")
    live: str
    is_made_from_live: bool = Field(
        description="False: something else became live since; this may take back what that changed."
    )
    check: CheckAnswer
    difference: DifferenceAnswer


class ExampleAnswer(BaseModel):
    """What a rule, a table or a score card answers to one of its examples."""

    rule: str
    number: int
    note: str
    facts: dict[str, Any]
    expect: str
    answer: str
    passed: bool
    missing: list[str] = Field(description="Facts without which it is unknown.")
    problems: list[ProblemOfRules]


class ExamplesAnswer(BaseModel):
    """All examples of a version."""

    version: str
    passed: int
    failed: int
    examples: list[ExampleAnswer]


class FilesAnswer(BaseModel):
    """The files of a version, to the letter."""

    version: str
    files: dict[str, str]


class Happened(BaseModel):
    """Something that happened to a version."""

    at: datetime
    what: str
    actor: str
    note: str


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


class RuleSetDetail(RuleSetAnswer):
    """A version and everything about it.

    `authors`: who wrote what it changes of the live version; none of them may approve it.
    """

    files: dict[str, int] = Field(description="File name -> bytes.")
    authors: list[str]
    check: CheckAnswer | None
    backtest_id: str | None = Field(
        description="The newest finished backtest against what is live."
    )
    submission: SubmissionAnswer | None
    history: list[Happened]


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
