"""How does a report say a share, and the difference of two?

Always with what was counted and an interval of 95 %. Invariant: no share without its counts, so
that a report of ten decisions cannot look like one of ten thousand.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.evidence.intervals import wilson


class Share(BaseModel):
    """A share that was counted; `share` is null where there is nothing to count."""

    model_config = ConfigDict(extra="forbid")

    count: int
    of: int
    share: float | None
    low: Annotated[float, Field(description="Lower end of the 95 % interval.")]
    high: Annotated[float, Field(description="Upper end of the 95 % interval.")]

    @classmethod
    def counted(cls, count: int, of: int) -> Share:
        """Return `count` of `of` with Wilson's interval.

        >>> found = Share.counted(5, 100)
        >>> found.share, round(found.low, 3), round(found.high, 3)
        (0.05, 0.022, 0.112)
        """
        low, high = wilson(count, of)
        return cls(count=count, of=of, share=count / of if of else None, low=low, high=high)
