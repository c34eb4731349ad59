"""What do requests and answers about people, roles and keys look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from features.event_fields import TypeName, Word
from service.api_key import ApiKey
from service.people.first import SYSTEM
from service.people.limits import Limits, limits_of
from service.people.people import Person
from service.people.requests import RoleRequest, State
from service.people.roles import RoleName
from service.texts import Reason

# A shop has a few dozen business lines and regions; a person who has more of them has all.
MOST_NAMES = 100


def _person(value: str) -> str:
    if value == SYSTEM:
        raise ValueError("This is no person.")
    return value


PersonId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$"),
    AfterValidator(_person),
    Field(description="Who: letters a-z, digits, `.`, `_` and `-`, such as `ana`."),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LimitsModel(_Model):
    """A part of the shop. What is null or absent is not limited."""

    event_types: Annotated[list[TypeName], Field(min_length=1, max_length=MOST_NAMES)] | None = None
    business_lines: Annotated[list[Word], Field(min_length=1, max_length=MOST_NAMES)] | None = None
    regions: Annotated[list[Word], Field(min_length=1, max_length=MOST_NAMES)] | None = None

    def limits(self) -> Limits:
        """Return them as the service uses them."""
        return limits_of(self.event_types, self.business_lines, self.regions)


class RoleRequestBody(_Model):
    """All roles and limits that a person shall have, in place of those they have."""

    person: PersonId
    roles: Annotated[
        list[RoleName], Field(max_length=16, description="An empty list takes everything away.")
    ]
    limits: LimitsModel = LimitsModel()
    reason: Reason


class LimitsAnswer(_Model):
    """A part of the shop; null is no limit. An event type may be one that is not known here."""

    event_types: list[str] | None
    business_lines: list[str] | None
    regions: list[str] | None

    @classmethod
    def of(cls, limits: Limits) -> LimitsAnswer:
        """Return the limits as an answer shows them."""
        event_types, business_lines, regions = limits.lists()
        return cls(event_types=event_types, business_lines=business_lines, regions=regions)


class MeAnswer(_Model):
    """Whose key this is, and what it may do."""

    actor: Annotated[str, Field(description="How records name this caller.")]
    person: str | None
    key_id: str
    roles: list[str]
    scopes: list[str]
    limits: LimitsAnswer


class RoleAnswer(_Model):
    """A role and what it allows."""

    name: str
    scopes: list[str]
    description: Annotated[dict[str, str], Field(description="By language: `en`, `zh`.")]


class PersonAnswer(_Model):
    """A person and what is in force for them."""

    id: str
    created_at: datetime
    roles: list[str]
    scopes: list[str]
    limits: LimitsAnswer
    keys: Annotated[int, Field(description="How many API keys of theirs are good.")]

    @classmethod
    def of(cls, person: Person) -> PersonAnswer:
        """Return a person as an answer shows them."""
        return cls(
            id=person.id,
            created_at=person.created_at,
            roles=list(person.roles),
            scopes=sorted(person.scopes),
            limits=LimitsAnswer.of(person.limits),
            keys=person.keys,
        )


class KeyAnswer(_Model):
    """An API key, without the key."""

    key_id: str
    name: str
    person: str | None
    scopes: list[str]
    limits: LimitsAnswer
    created_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> KeyAnswer:
        """Return a key as an answer shows it."""
        return cls(
            key_id=key.key_id,
            name=key.name,
            person=key.person,
            scopes=sorted(key.scopes),
            limits=LimitsAnswer.of(key.limits),
            created_at=key.created_at,
            revoked_at=key.revoked_at,
        )


class RoleRequestAnswer(_Model):
    """A change of roles and what became of it."""

    id: int
    person: str
    roles: list[str]
    limits: LimitsAnswer
    reason: str
    requested_by: str
    requested_at: datetime
    state: Annotated[
        State,
        Field(description="`lapsed`: roles changed since, it cannot be approved any more."),
    ]
    decided_by: str | None
    decided_at: datetime | None

    @classmethod
    def of(cls, request: RoleRequest) -> RoleRequestAnswer:
        """Return a request as an answer shows it."""
        return cls(
            id=request.id,
            person=request.person,
            roles=list(request.roles),
            limits=LimitsAnswer.of(request.limits),
            reason=request.reason,
            requested_by=request.requested_by,
            requested_at=request.requested_at,
            state=request.state,
            decided_by=request.decided_by,
            decided_at=request.decided_at,
        )


DecisionName = Literal["approve", "refuse", "withdraw"]
