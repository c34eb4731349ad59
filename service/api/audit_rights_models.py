"""What goes in and out of the routes of persons' rights?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.lists_models import EntityBody
from service.rights.requests import RightsRequest
from service.texts import Reason

MOST_IDENTIFIERS = 50

Purpose = Annotated[
    Reason, Field(description="Why. It is sealed in the record, and shown to who decides.")
]
Identifiers = Annotated[
    list[EntityBody],
    Field(
        min_length=1,
        max_length=MOST_IDENTIFIERS,
        description="Everything by which the shop knows the person: what is not named here is not "
        "found. `user`, `email`, `phone`, `device`, `payment_instrument`, `shipping_address`, `ip`",
    ),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PersonBody(_Model):
    """A person, and why something is asked for about them."""

    identifiers: Identifiers
    purpose: Purpose


class DecisionBody(_Model):
    """Why it is decided so."""

    purpose: Purpose


class SubjectExportBody(PersonBody):
    """A person who wants to know what is held about them."""

    format: Literal["json", "html"] = "json"
    language: Annotated[Literal["en", "zh"], Field(description="Of the page.")] = "en"
    despite_restriction: Annotated[
        bool,
        Field(description="The person asks for it although reading about them is restricted."),
    ] = False


class RightsRequestAnswer(_Model):
    """A request about one person. Who it is about is told by kinds of identifiers only."""

    id: int
    kind: Literal["erase", "restrict"]
    state: Annotated[
        Literal["open", "executing", "executed", "refused", "lifted"],
        Field(description="`executing` ends by itself after some seconds, as `executed`."),
    ]
    identifiers: Annotated[
        list[str], Field(description="Kinds of the identifiers, as long as it is open.")
    ]
    purpose: Annotated[
        str | None, Field(description="Null when it was not asked for or cannot be read any more.")
    ]
    requested_by: str
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    counts: Annotated[dict[str, int], Field(description="How much was erased.")]

    @classmethod
    def of(cls, request: RightsRequest, purpose: str | None = None) -> RightsRequestAnswer:
        return cls(
            id=request.id,
            kind=request.kind,
            state=request.state,
            identifiers=list(request.kinds),
            purpose=purpose,
            requested_by=request.requested_by,
            requested_at=request.requested_at,
            decided_by=request.decided_by,
            decided_at=request.decided_at,
            counts=dict(request.counts),
        )


class AskedAnswer(RightsRequestAnswer):
    """A request as it was just made."""

    held_entries: Annotated[
        int, Field(description="Entries of the record that these identifiers own.")
    ]
    mentioned_in: Annotated[
        int,
        Field(
            description="Other entries that mention them, counted up to 1,000 or a few more. They "
            "stay: where they are of the same "
            "person, name that person's other identifiers as well."
        ),
    ]
