"""When did the service see this event?

`observed_at` is the service's own time of acceptance; windows run on it. In production it is the
system's clock. A replay of old data runs with `EventClock`, which follows the events, so that
windows mean what they say; it never runs backwards and never ahead of the real time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The source of `observed_at`."""

    def observe(self, occurred_at: datetime) -> datetime:
        """Return the aware UTC time at which the event counts as seen.

        Called once per event, at acceptance. Never fails, never blocks. Within one process the
        returned times of successive calls never decrease by more than a step of the system clock.
        """
        ...


class SystemClock:
    """The time of this machine; what `occurred_at` says is ignored."""

    def observe(self, occurred_at: datetime) -> datetime:  # noqa: ARG002 - the Protocol's
        return datetime.now(UTC)


class EventClock:
    """A clock that follows the events of a replay. Never in production.

    >>> clock = EventClock()
    >>> first = clock.observe(datetime(2015, 1, 2, tzinfo=UTC))
    >>> clock.observe(datetime(2015, 1, 1, tzinfo=UTC)) == first  # late: time stands still
    True
    """

    def __init__(self) -> None:
        self._latest = datetime.min.replace(tzinfo=UTC)

    def observe(self, occurred_at: datetime) -> datetime:
        seen = min(occurred_at, datetime.now(UTC))
        self._latest = max(self._latest, seen)
        return self._latest


def epoch_ms(at: datetime) -> int:
    """Return `at` as whole milliseconds since 1970-01-01 UTC.

    >>> epoch_ms(datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC))
    1500
    """
    return round(at.timestamp() * 1000)


def monotonic() -> float:
    """Return seconds of the monotonic clock, for deadlines and latencies."""
    return time.monotonic()
