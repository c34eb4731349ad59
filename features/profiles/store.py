"""What every profile store promises, and the one way in which it fails.

Invariant: a value is one that a finished materialisation wrote; how old it is, is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from features.errors import FeatureError
from features.fields import Value


class ProfilesUnavailable(FeatureError):
    """The store cannot answer in time; `reason` is one word, fit for a metric label."""

    code = "PROFILES_UNAVAILABLE"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class ProfileAnswer(NamedTuple):
    """What is known of the entities of one event.

    - `values`: feature name of the catalog -> value; an entity without a profile has none.
    - `stale`: feature views whose profile is older than it may be.
    - `ages_seconds`: feature view -> age of the profile that was read.
    """

    values: Mapping[str, Value]
    stale: tuple[str, ...]
    ages_seconds: Mapping[str, float]


class ProfileStore(Protocol):
    """Profiles by the keyed tags of their entities."""

    async def read(self, tags: Mapping[str, str], timeout_s: float) -> ProfileAnswer:
        """Read the profiles of an event's entities: kind -> keyed tag, as in `entities_of`.

        Called once for each decided event, side by side with the velocity call. Guaranteed: every
        value comes from one profile row of its entity; a row older than its view allows is read and
        its view is named in `stale`; kinds without profiles are ignored. Fails with
        `ProfilesUnavailable` only, within `timeout_s`. Not to be assumed: that two views were
        materialised at the same moment.
        """
        ...

    async def close(self) -> None:
        """Let go of every resource; later calls fail as `closed`."""
        ...
