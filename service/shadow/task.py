"""What is known of a decision that other rule sets are to make again?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from features.fields import Value
from rules.decision import Decision
from service.brain import Brain


class ShadowTask(NamedTuple):
    """A decision that was recorded, with all that it was made from.

    `brain` names the shadows that are to decide it again; `facts` must not be changed.
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
