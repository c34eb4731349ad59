"""What do requests and answers about lists look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.lists.entries import Entity
from service.lists.table import Added, EntryRow, ListRow
from service.texts import NO_NUL

MOST_ENTRIES = 1_000
ListName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
StateName = Literal["active", "expired", "removed", "all"]
_OneOf = "Give `value` or `tag`."


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ListBody(_Model):
    """A list to make. Rules ask for it by name: `in_list("stolen_devices", "device")`."""

    name: ListName
    purpose: Annotated[
        Literal["allow", "deny", "watch"],
        Field(description="What it is for. What it does, rules say."),
    ]
    description: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=NO_NUL),
    ]


class ListAnswer(_Model):
    """A list."""

    name: str
    purpose: str
    description: str
    created_by: str
    created_at: datetime
    entries: Annotated[dict[str, int], Field(description="Entries in force, by kind of entity.")]

    @classmethod
    def of(cls, row: ListRow) -> ListAnswer:
        return cls(
            name=row.name,
            purpose=row.purpose,
            description=row.description,
            created_by=row.actor,
            created_at=row.created_at,
            entries=dict(row.counts),
        )


class EntityBody(_Model):
    """Who or what. The value becomes a tag at once and is not kept."""

    kind: Annotated[str, Field(description="`user`, `device`, `ip`, `email`, `phone` …")]
    value: Annotated[
        str | dict[str, Any] | None,
        Field(description="As events have it; an address is an object. " + _OneOf),
    ] = None
    tag: Annotated[str | None, Field(description="The tag of an export. " + _OneOf)] = None


class EntryBody(EntityBody):
    """An entry to add."""

    reason: Annotated[
        str | None, Field(description="Why, in one line, without identifiers of customers.")
    ] = None
    owner: Annotated[
        str | None, Field(description="Who answers for it; absent: whoever adds it.")
    ] = None
    expires_at: Annotated[
        datetime | str | None,
        Field(description="From then on it does not count; absent: it stays."),
    ] = None


class EntriesBody(_Model):
    """Entries to add, all of them or none. The other members say what an entry leaves out."""

    entries: Annotated[list[EntryBody], Field(min_length=1, max_length=MOST_ENTRIES)]
    reason: str | None = None
    owner: str | None = None
    expires_at: datetime | str | None = None


class RemovalBody(_Model):
    """Entities to take off a list, and why."""

    entries: Annotated[list[EntityBody], Field(min_length=1, max_length=MOST_ENTRIES)]
    reason: str


class EntitiesBody(_Model):
    """Entities to look up."""

    entries: Annotated[list[EntityBody], Field(min_length=1, max_length=MOST_ENTRIES)]


class AddedAnswer(_Model):
    """What became of entries."""

    list: str
    added: int
    replaced: Annotated[int, Field(description="They took the place of an entry in force.")]
    repeated: Annotated[int, Field(description="Left out: a later row names the same entity.")]

    @classmethod
    def of(cls, name: str, added: Added, repeated: int) -> AddedAnswer:
        return cls(list=name, added=added.added, replaced=added.replaced, repeated=repeated)


class RemovedAnswer(_Model):
    """What was taken off a list; `absent` were not on it."""

    list: str
    removed: int
    absent: int


class EntryAnswer(_Model):
    """An entry; of the entity only the tag is known."""

    id: int
    list: str
    kind: str
    tag: str
    reason: str
    owner: str
    state: Literal["active", "expired", "removed"]
    added_by: str
    added_at: datetime
    expires_at: datetime | None
    removed_by: str | None
    removed_at: datetime | None
    removal: str | None

    @classmethod
    def of(cls, row: EntryRow, now: datetime) -> EntryAnswer:
        is_past = row.expires_at is not None and row.expires_at <= now
        state: Any = "removed" if row.removed_at else "expired" if is_past else "active"
        return cls(**row._asdict(), state=state)


class EntriesAnswer(_Model):
    """A page of entries; `next` is the `after` of the one that follows."""

    entries: list[EntryAnswer]
    next: int | None


class FoundAnswer(_Model):
    """Where an entity is listed at the moment."""

    kind: str
    tag: str
    entries: list[EntryAnswer]

    @classmethod
    def of(cls, entity: Entity, rows: list[EntryRow], now: datetime) -> FoundAnswer:
        entries = [EntryAnswer.of(row, now) for row in rows]
        return cls(kind=entity.kind, tag=entity.tag, entries=entries)
