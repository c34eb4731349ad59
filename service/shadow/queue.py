"""What would other rule sets have decided? Worked off after the reply.

Invariant: nothing in here can reach an answer: an offer takes microseconds, never waits and never
raises; what does not fit into the queue is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from features.fields import Value
from rules.decision import Decision
from service.brain import Brain


class ShadowTask(NamedTuple):
    """A decision that was recorded, with all that it was made from.

    `brain` holds the shadows that are to decide it again; `facts` must not be changed.
    """

    brain: Brain
    entry_id: bytes
    observed_at: datetime
    event_type: str
    tags: Mapping[str, str]
    facts: Mapping[str, Value]
    score: float | None
    gaps: tuple[str, ...]
    decision: Decision


class ShadowQueue:
    """The bounded queue of one worker."""

    def offer(self, task: ShadowTask) -> None:
        """Take a decision, or drop and count it when the queue is full."""
