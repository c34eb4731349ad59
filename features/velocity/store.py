"""What every velocity store promises, and the one way in which it fails.

Invariant: an observation reads the past and records the present in one atomic step per entity, so
that two events never see the same past of one entity and no event ever sees itself.
"""

from __future__ import annotations

from typing import Protocol

from features.errors import FeatureError
from features.velocity.observation import Observation

REPEAT_MS = 120_000  # longer than any client keeps retrying one event; then the ledger knows it
MOST_MEMBERS = 8_192  # of a series that counts, adds or compares; beyond them it is thinned
FINENESS = 256  # neighbours that thinning leaves are at most this fraction of their age apart
MOST_VALUES = 16_384  # of a series that tells values apart; those seen last are kept


class VelocityUnavailable(FeatureError):
    """The store cannot answer in time; `reason` is one word, fit for a metric label.

    `refused, timeout, stalled, lost, loading, oom, moved, auth, readonly, busy, overloaded,
    protocol, closed, replan, error`.
    """

    code = "VELOCITY_UNAVAILABLE"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class VelocityStore(Protocol):
    """Series of past events per entity, read over true sliding windows."""

    async def observe(self, observation: Observation, timeout_s: float) -> dict[str, int | float]:
        """Read the past of every entity of an event and record the event, atomically per entity.

        Called once for each accepted event, before it is decided.

        Guaranteed, for every series of every entity:

        - A window `w` answers for `(t - w, t]`: all that was recorded before this call, events of
          the same millisecond included, never this event itself. Counts, sums, minima, maxima and
          distinct counts are exact integers up to 2**53; a mean is the sum divided by the count,
          one float division of two such integers.
        - Time never runs backwards within a series: `t` is the later of `observed_ms` and the last
          time recorded there, for reading and for recording.
        - `first_seen` and `last_seen` are seconds (float) since the first or last record; the name
          is left out when there was none, or when the last is `retention_ms` or longer ago.
        - `mean`, `min` and `max` over a window without a record leave their name out.
        - All other feature names are always there; a series never recorded answers 0.
        - A value of None reads without recording.
        - The same event tag on the same entity within 120 s (by `observed_ms`) gets the first
          answer again and is not recorded again, also when both calls run at the same moment. A
          caller may therefore repeat a call that failed.

        Memory per series is bounded. Events of one millisecond share a member; up to
        `MOST_MEMBERS` members every answer is exact. Beyond that old members may be thinned: the
        answer for `w` is the exact answer of some window between 255/256 of `w` and `w` long, and
        of whole milliseconds. `distinct` is exact up to `MOST_VALUES` and answers that number for
        every window that holds more: read it as "at least". A series of 1,000,000 events within
        400 days took 0.8 MB in Valkey, one of 1,000,000 values 1.6 MB (`MEMORY USAGE`; amounts of
        5 digits, tags of 22 letters); one of 20 events takes 0.6 to 0.9 kB.

        Fails with `VelocityUnavailable` only, within `timeout_s`. Then some entities may have been
        recorded and others not. A repeat under another catalog fails as `replan`.
        A series that was kept for another measure before begins anew; until its history has taken
        its place (`history_store.py`) its answers mean nothing.

        Not to be assumed: one order of events across entities (each entity has its own); that
        anything older than `retention_ms` is still there; that two entities of one observation may
        share kind and tag (they may not, nor may two series of one entity share a name).
        """
        ...

    async def ping(self, timeout_s: float) -> None:
        """Return when the store answers; for readiness. Fails with `VelocityUnavailable`."""
        ...

    async def close(self) -> None:
        """Let go of every resource. Calls in flight and later ones fail as `closed`."""
        ...
