"""What goes in and out of the routes that look into the record?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from service.audit.opened_entries import AuditEntry
from service.texts import Moment, Reason

MOST_FOUND = 500
EntryType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,31}$")]
EventType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Outcome = Literal["approve", "challenge", "review", "decline"]
Kind = Literal[
    "user", "device", "ip", "email", "phone", "payment_instrument", "shipping_address", "event"
]
Purpose = Annotated[
    Reason,
    StringConstraints(max_length=300),
    Field(
        description="Why somebody looks. It is sealed in the record; no personal data of customers."
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PurposeBody(_Body):
    """Why somebody looks."""

    purpose: Purpose


class ExplainBody(PurposeBody):
    """Who is told, and in which language."""

    view: Literal["person", "shop", "authority"] = "person"
    language: Literal["en", "zh"] = "en"


class SearchBody(PurposeBody):
    """What is searched for: somebody, or everybody; newest entries first.

    `kind` with `value` or `tag`: a value becomes its tag at once and goes no further. `event` is
    the shop's own `event_id`. Without times: the last 31 days.
    """

    kind: Kind | None = None
    value: Annotated[
        str | dict[str, Any] | None, Field(description="As events have it; an address is an object")
    ] = None
    tag: Annotated[str | None, Field(description="As an export of lists has it")] = None
    since: Annotated[Moment | None, Field(description="Entries from this time on")] = None
    until: Annotated[Moment | None, Field(description="Entries before this time")] = None
    types: Annotated[
        list[EntryType] | None,
        Field(min_length=1, max_length=50, description="Types of entries, such as `decision`"),
    ] = None
    event_types: Annotated[
        list[EventType] | None,
        Field(min_length=1, max_length=20, description="Decisions about such events"),
    ] = None
    outcomes: Annotated[
        list[Outcome] | None, Field(min_length=1, max_length=4, description="Decisions such as")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_FOUND)] = 100

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.kind is None) != (self.value is None and self.tag is None):
            raise ValueError("give `kind` with `value` or `tag`, or none of them")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("`since` must be before `until`")
        return self


class EntryFound(BaseModel):
    """An entry. `header` is the exact text that the tree is made of.

    `states` says of each sealed block whether it was opened: `open`, `sealed` (not shown here),
    `erased`, `restricted`, `gone` (past its retention) or `damaged`.
    """

    entry_id: str
    type: str
    time: datetime
    header: str
    states: dict[str, str]
    core: Annotated[dict[str, Any] | None, Field(description="Facts of the decision or action")]

    @classmethod
    def of(cls, entry: AuditEntry) -> EntryFound:
        return cls(**_common(entry))


class SearchAnswer(BaseModel):
    """What was found, newest first. `is_cut`: there is more before the last of them."""

    entries: list[EntryFound]
    is_cut: bool


class EntryRevealed(EntryFound):
    """An entry with all that its blocks say."""

    staff: Annotated[dict[str, Any] | None, Field(description="Who did it, and why")]
    subject: Annotated[dict[str, Any] | None, Field(description="What was known of the person")]

    @classmethod
    def of(cls, entry: AuditEntry) -> EntryRevealed:
        blocks = entry.blocks
        return cls(**_common(entry), staff=blocks.get("staff"), subject=blocks.get("subject"))


class SectionAnswer(BaseModel):
    """A part of an explanation."""

    title: str
    lines: list[str]


class ExplainAnswer(BaseModel):
    """An explanation of one decision, in the order in which it is read."""

    entry_id: str
    view: Literal["person", "shop", "authority"]
    language: Literal["en", "zh"]
    sections: list[SectionAnswer]


def _common(entry: AuditEntry) -> dict[str, Any]:
    return {
        "entry_id": entry.entry_id,
        "type": entry.header.type,
        "time": entry.header.time,
        "header": entry.header_bytes.decode(),
        "states": dict(entry.states),
        "core": entry.blocks.get("core"),
    }
