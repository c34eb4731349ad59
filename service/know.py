"""What is known about the entities of an event, and what of it could not be had?

Velocities and profiles are read side by side, each within a time of its own. Invariant: nothing
raises for a store that is away; what is missing is a gap with a name, never a value.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

from features.fields import Value
from features.observe import Asked
from features.profiles.store import ProfileAnswer, ProfileStore, ProfilesUnavailable
from features.velocity.store import VelocityStore, VelocityUnavailable
from service.completeness import NO_GAP, Completeness, Gap

log = logging.getLogger(__name__)

VELOCITY_GAP = "velocity"
PROFILE_GAP = "profiles"


class Known(NamedTuple):
    """Values by feature name, and the gaps: words for `degraded`.

    `withheld`: facts that may not be concluded from what is there, or not there, either.
    """

    values: Mapping[str, Value]
    gaps: list[str]
    withheld: frozenset[str] = frozenset()


class Knowledge:
    """The stores that are asked about every event. `profiles` is None where there are none."""

    def __init__(
        self,
        velocity: VelocityStore,
        velocity_seconds: float,
        completeness: Completeness,
        profiles: ProfileStore | None = None,
        profile_seconds: float = 0.0,
    ) -> None:
        self._velocity = velocity
        self._velocity_seconds = velocity_seconds
        self._completeness = completeness
        self._profiles = profiles
        self._profile_seconds = profile_seconds
        self._away: set[str] = set()

    async def know(self, asked: Asked, tags: Mapping[str, str]) -> Known:
        """Read what happened before and record that this happens, in one atomic call an entity."""
        if self._profiles is None:
            return await self.count(asked)
        now_ms = asked.observation.observed_ms
        reading = asyncio.ensure_future(self._profiles.read(tags, now_ms, self._profile_seconds))
        try:
            known = await self.count(asked)
        except BaseException:
            reading.cancel()
            raise
        try:
            answer = await reading
        except ProfilesUnavailable as error:
            self._note(PROFILE_GAP, error)
            known.gaps.append(PROFILE_GAP)
            return known
        self._note(PROFILE_GAP, None)
        return _joined(known, answer)

    async def count(self, asked: Asked) -> Known:
        """Read and record the velocities only: all that an event without a decision needs.

        What the store answers without knowing the whole past is recorded and not offered.
        """
        try:
            values = await self._velocity.observe(asked.observation, self._velocity_seconds)
        except VelocityUnavailable as error:
            self._completeness.velocity_failed(error)
            self._note(VELOCITY_GAP, error)
            return Known({}, [VELOCITY_GAP])
        self._note(VELOCITY_GAP, None)
        gap = self._completeness.gaps()
        return Known(values, []) if gap is NO_GAP else _offered(values, gap, asked)

    async def count_outcome(self, asked: Asked, outcome: str) -> None:
        """Record the series that depend on the outcome; the ledger has them whatever happens."""
        observation = asked.recorded_by(outcome)
        if observation is None:
            return
        try:
            await self._velocity.observe(observation, self._velocity_seconds)
        except VelocityUnavailable as error:
            self._completeness.velocity_failed(error)
            self._note(VELOCITY_GAP, error)

    def _note(self, part: str, error: Exception | None) -> None:
        """Log when a store goes and when it comes back, not for each event in between."""
        if error is not None and part not in self._away:
            log.warning("deciding without %s: %s", part, error)
            self._away.add(part)
        elif error is None and part in self._away:
            log.warning("%s: back", part)
            self._away.discard(part)


def _offered(values: Mapping[str, Value], gap: Gap, asked: Asked) -> Known:
    if gap.everything_lost:
        return Known({}, [VELOCITY_GAP])
    read = (series for entity in asked.observation.entities for series in entity.series)
    if all(gap.withheld.isdisjoint(series.plan.features) for series in read):
        return Known(values, [])
    kept = {name: value for name, value in values.items() if name not in gap.withheld}
    return Known(kept, [VELOCITY_GAP], gap.withheld)


def _joined(known: Known, answer: ProfileAnswer) -> Known:
    gaps = [*known.gaps, PROFILE_GAP] if answer.stale else known.gaps
    return Known({**known.values, **answer.values}, gaps, known.withheld)
