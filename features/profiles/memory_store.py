"""Profiles in this process: what a test or an experiment needs of `ProfileStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.fields import Value
from features.profiles.marker import Marker, age_seconds, is_stale
from features.profiles.schema import VIEWS
from features.profiles.store import ProfileAnswer, ProfilesUnavailable, Wanted

Rows = Mapping[str, Mapping[str, Mapping[str, Value | None]]]
"""view -> tag -> field -> value"""


class MemoryProfileStore:
    """The `ProfileStore` of one process; a materialisation is a call of `publish`."""

    def __init__(self, wanted: Sequence[Wanted], max_age_seconds: float) -> None:
        self._wanted = tuple(wanted)
        self._max_age_seconds = max_age_seconds
        self._current: tuple[Marker, Rows] | None = None
        self._is_closed = False

    def publish(self, marker: Marker, rows: Rows) -> None:
        """Make these rows the complete materialisation."""
        self._current = (marker, rows)

    async def read(self, tags: Mapping[str, str], now_ms: int, timeout_s: float) -> ProfileAnswer:  # noqa: ARG002 - nothing here takes time
        views = dict.fromkeys(row.view for row in self._wanted if VIEWS[row.view].entity in tags)
        if not views:
            return ProfileAnswer({})
        if self._is_closed:
            raise ProfilesUnavailable("closed")
        if self._current is None:
            raise ProfilesUnavailable("empty")
        marker, rows = self._current
        ages = dict.fromkeys(views, age_seconds(marker, now_ms))
        if is_stale(marker, now_ms, self._max_age_seconds):
            return ProfileAnswer({}, tuple(views), ages)
        values: dict[str, Value] = {}
        for row in self._wanted:
            profile = rows.get(row.view, {}).get(tags.get(VIEWS[row.view].entity, ""))
            value = None if profile is None else profile.get(row.field)
            if value is not None:
                values[row.name] = value
        return ProfileAnswer(values, ages_seconds=ages)

    async def close(self) -> None:
        self._is_closed = True
