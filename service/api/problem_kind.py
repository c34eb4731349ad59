"""What does a caller see for an error code?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A row of the table: what a caller sees for a code."""

    status: int
    title: str
    detail: str
    retry_after_seconds: int | None = None
