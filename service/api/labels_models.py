"""What do requests and answers about labels look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from service.labels.sources import DAY_MS, Source
from service.labels.stated import Kept
from service.labels.store import WORDS, LabelRow

MOST_LABELS = 1_000
LabelName = Literal["abusive", "honest", "withdrawn"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LabelBody(_Model):
    """What an event turned out to be. A later label of an event corrects the earlier ones."""

    event_id: Annotated[
        str | None, Field(description="As it was sent. Give it or `event_tag`.")
    ] = None
    event_tag: Annotated[str | None, Field(description="The tag of an export.")] = None
    label: Annotated[
        str | None,
        Field(
            description="`abusive`, `honest`, or `withdrawn`: nothing is known after all. "
            "May be left out where the source says it, as `chargeback` does."
        ),
    ] = None
    source: Annotated[str, Field(description="One of `GET /v1/labels/sources`.")]
    known_at: Annotated[
        datetime | str | None,
        Field(description="Since when it is known: not before the event. Absent: since now."),
    ] = None


class LabelsBody(_Model):
    """Labels, all of them or none."""

    labels: Annotated[list[LabelBody], Field(min_length=1, max_length=MOST_LABELS)]


class KeptAnswer(_Model):
    """What became of labels. The ledger's entry names the batch."""

    batch: UUID
    added: int
    repeated: Annotated[int, Field(description="Left out: their source had said so before.")]

    @classmethod
    def of(cls, batch: UUID, kept: Kept) -> KeptAnswer:
        return cls(batch=batch, added=kept.added, repeated=kept.repeated)


class LabelAnswer(_Model):
    """One label as it was stated."""

    id: int
    event_tag: str
    label: LabelName
    source: str
    known_at: datetime
    observed_at: Annotated[datetime, Field(description="When the event was seen, in seconds.")]
    recorded_at: datetime
    recorded_by: str
    batch: UUID

    @classmethod
    def of(cls, row: LabelRow) -> LabelAnswer:
        cells = {**row._asdict(), "label": WORDS[row.label]}
        return cls(recorded_by=cells.pop("actor"), **cells)


class HistoryAnswer(_Model):
    """What is known of an event at the moment, and everything that was ever said of it."""

    event_tag: str
    label: Literal["abusive", "honest"] | None
    source: str | None
    known_at: datetime | None
    history: list[LabelAnswer]


class LabelsAnswer(_Model):
    """A page of labels; `next` is the `after` of the one that follows."""

    labels: list[LabelAnswer]
    next: int | None


class SourceAnswer(_Model):
    """A source of labels."""

    name: str
    default: Annotated[str | None, Field(description="The label when none is stated.")]
    always: Annotated[str | None, Field(description="The only label that it can mean.")]
    delay_days: Annotated[
        float, Field(description="Assumed where nobody wrote down when a label was known.")
    ]
    why: str
    counts: Annotated[dict[str, int], Field(description="How often it said what.")]

    @classmethod
    def of(cls, source: Source, counts: dict[tuple[str, int | None], int]) -> SourceAnswer:
        return cls(
            name=source.name,
            default=None if source.default is None else WORDS[source.default],
            always=None if source.always is None else WORDS[source.always],
            delay_days=source.delay_ms / DAY_MS,
            why=source.why,
            counts={
                WORDS[label]: count
                for (name, label), count in counts.items()
                if name == source.name
            },
        )
