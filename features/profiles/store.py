"""What every profile store promises, and the one way in which it fails.

Invariant: an answer comes from one complete materialisation; one that is half done, too old or from
the future gives no values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from features.errors import FeatureError
from features.fields import Value


class ProfilesUnavailable(FeatureError):
    """The store cannot answer in time; `reason` is one word, fit for a metric label.

    `empty` when nothing was ever materialised here (or the store was lost), `corrupt` when what it
    holds cannot be read, else a reason of `VelocityUnavailable`.
    """

    code = "PROFILES_UNAVAILABLE"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Wanted(Protocol):
    """One profile feature, as the catalog declares it."""

    @property
    def name(self) -> str:
        """The name that rules and model use."""

    @property
    def view(self) -> str:
        """The Feast feature view it stands in."""

    @property
    def field(self) -> str:
        """Its name within the view."""


class ProfileAnswer(NamedTuple):
    """What is known of the entities of one event.

    - `values`: feature name of the catalog -> value; what is unknown is left out.
    - `stale`: feature views of the event's entities that are older than they may be.
    - `ages_seconds`: feature view -> age of the profile that was read, or of the materialisation
      in which the entity has none; for each view that was asked for.
    """

    values: Mapping[str, Value]
    stale: tuple[str, ...] = ()
    ages_seconds: Mapping[str, float] = {}


class ProfileStore(Protocol):
    """Slow facts of users and devices, materialised in batch; by the keyed tags of the entities."""

    async def read(self, tags: Mapping[str, str], now_ms: int, timeout_s: float) -> ProfileAnswer:
        """Read the profiles of an event's entities: kind -> keyed tag, as in `entities_of`.

        Called once for each event that is decided, side by side with the velocity call. `now_ms` is
        the time of the decision; kinds without profiles are ignored.

        Guaranteed:

        - All values come from the materialisation that was the last complete one when the call was
          made, or a later one; one under way, or one that broke off, is not seen.
        - An entity without a profile (never seen before that materialisation) has no values and is
          not stale: it is known that there is nothing to know.
        - Older than the store's greatest age, or later than `now_ms`: the view is in `stale` and
          gives no values, whether or not the entity has a profile.

        Fails with `ProfilesUnavailable` only, within `timeout_s`; never blocks the event loop.

        Not to be assumed: that a profile knows what happened since the materialisation.
        """
        ...

    async def close(self) -> None:
        """Let go of every resource; later calls fail as `closed`."""
        ...
