"""What is known of a request once it is let in, before anything is decided?"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from features.event import Event


class Accepted(NamedTuple):
    """An event that was accepted: its keyed tags and its times.

    `observed_at` is the service's aware UTC time, which windows run on; `started` and `deadline`
    are seconds of the monotonic clock.
    """

    event: Event
    event_tag: str
    body_tag: str
    observed_at: datetime
    started: float
    deadline: float
