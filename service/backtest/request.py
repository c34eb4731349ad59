"""What may be asked of a backtest, and which order is it?

Invariant: a request that was accepted can be read back from the table and gives the same order.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.fields import FIELD_TYPES
from service.backtest.order import SEGMENTS
from service.texts import Moment

DEFAULT_DAYS = 30
MOST_SEGMENTS = 12

Segment = Annotated[str, Field(max_length=60)]


class BacktestRequest(BaseModel):
    """Which recorded decisions are decided again, and what is told apart."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(
        None, description=f"From this time on; {DEFAULT_DAYS} days before `until` when left out"
    )
    until: Moment | None = Field(None, description="Before this time; now when left out")
    labels_as_of: Moment | None = Field(
        None, description="Labels known by this time; now when left out"
    )
    segments: list[Segment] | None = Field(
        None,
        max_length=MOST_SEGMENTS,
        description="Facts of the event whose values are told apart in the segment tables",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("`since` must be before `until`")
        for name in self.segments or ():
            if FIELD_TYPES.get(name) not in ("string", "bool"):
                raise ValueError("`segments` takes fields of an event that are texts or bools")
        return self

    def settled(self, now: datetime) -> dict[str, Any]:
        """Return the request with every default filled in, as the table keeps it."""
        until = min(self.until or now, now)
        since = self.since or until - timedelta(days=DEFAULT_DAYS)
        return {
            "since_ms": _ms(min(since, until)),
            "until_ms": _ms(until) - 1,
            "labels_as_of": (self.labels_as_of or now).astimezone(UTC).isoformat(),
            "segments": list(SEGMENTS if self.segments is None else self.segments),
        }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
