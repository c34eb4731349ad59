"""What do requests and answers about rule sets look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from service.api.rule_lifecycle_models import Body, RuleId, SubmissionAnswer
from service.rule_sets.status import Status
from service.texts import Note

State = Literal[
    "live", "candidate", "shadow", "approved", "submitted", "retired", "validated", "draft"
]
Change = Literal["added", "removed", "changed"]


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
    value: (
        bool
        | int
        | Annotated[float, Field(allow_inf_nan=False)]
        | Annotated[str, Field(max_length=1024)]
    )
    note: Note = ""


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
