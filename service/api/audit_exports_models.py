"""What goes in and out of the routes of exports?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from service.audit.exports.requests import Export
from service.texts import Moment, Note, Reason

Block = Literal["core", "staff", "subject"]
EntryType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,31}$")]
Size = Annotated[int, Field(ge=0, lt=2**62)]


class ExportBody(BaseModel):
    """Which part of the record, what of it is disclosed, and why."""

    model_config = ConfigDict(extra="forbid")

    purpose: Annotated[Reason, StringConstraints(max_length=300)] = Field(
        description="Why. It stands in the package and is kept; no personal data of customers."
    )
    since: Moment | None = Field(None, description="Entries from this time on")
    until: Moment | None = Field(None, description="Entries before this time")
    first: Size | None = Field(None, description="Entries from this number of the tree on")
    last: Size | None = Field(
        None, description="Entries before this number; left out: up to the newest checkpoint"
    )
    earlier: list[Size] = Field(
        default_factory=list,
        max_length=50,
        description="Sizes of checkpoints that somebody keeps: the package proves that nothing "
        "under them was changed",
    )
    blocks: list[Block] = Field(
        ["core"],
        max_length=3,
        description="Which sealed blocks are disclosed; `subject` to compliance only",
    )
    types: list[EntryType] | None = Field(
        None,
        min_length=1,
        max_length=50,
        description="Disclose blocks of these types of entries only; all headers stay in",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        by_time = self.since is not None or self.until is not None
        if by_time and (self.first is not None or self.last is not None):
            raise ValueError("give a range by time or by number, not both")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("`since` must be before `until`")
        if self.first is not None and self.last is not None and self.first >= self.last:
            raise ValueError("`first` must be less than `last`")
        return self


class ApprovalBody(BaseModel):
    """Why it may be exported."""

    model_config = ConfigDict(extra="forbid")

    note: Note = ""


class RefusalBody(BaseModel):
    """Why it may not."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class ExportAnswer(BaseModel):
    """An export: what is asked for, by whom, and how far it is.

    The leaves [first, last) of the tree; `done` of `entries` are in the package. `bytes` and `etag`
    once it is ready, until `expires_at`.
    """

    id: UUID
    state: str = Field(
        description="requested, refused, withdrawn, queued, running, ready, failed, cancelled or "
        "expired"
    )
    purpose: str
    first: int
    last: int
    entries: int
    since: datetime | None
    until: datetime | None
    earlier: list[int]
    blocks: list[str]
    types: list[str] | None
    role: str
    requested_by: str
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    done: int
    error: str | None
    bytes: int | None
    manifest_sha256: str | None
    ended_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(cls, export: Export) -> ExportAnswer:
        return cls(
            id=export.id,
            state=export.state,
            purpose=export.purpose,
            first=export.first,
            last=export.last,
            entries=export.entries,
            since=export.since,
            until=export.until,
            earlier=list(export.earlier),
            blocks=list(export.blocks),
            types=None if export.types is None else list(export.types),
            role=export.role,
            requested_by=export.requested_by,
            requested_at=export.requested_at,
            decided_by=export.decided_by,
            decided_at=export.decided_at,
            reason=export.reason,
            done=export.done,
            error=export.error,
            bytes=export.size,
            manifest_sha256=None if export.manifest is None else export.manifest.hex(),
            ended_at=export.ended_at,
            expires_at=export.expires_at,
        )
