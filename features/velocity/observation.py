"""What one event asks of a velocity store and what it leaves there.

An observation names the event, the time the service accepted it, and per entity the series to read
and the value to record. Invariant: identifiers are keyed tags only; nothing here is in clear.
Tuples, because one is built for every event on the decision path.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class SeriesPlan(Protocol):
    """What a store needs to know of a series: its name, its measure and which windows are read.

    `features[i]` names the answer of `windows_ms[i]`. For `first_seen` and `last_seen` there is one
    feature name and windows play no part beyond `retention_ms`.
    """

    @property
    def name(self) -> str: ...

    @property
    def measure(self) -> str:
        """One of `count, sum, mean, min, max, distinct, first_seen, last_seen`."""

    @property
    def windows_ms(self) -> tuple[int, ...]: ...

    @property
    def features(self) -> tuple[str, ...]: ...

    @property
    def retention_ms(self) -> int:
        """At least the longest window: what is older can never be asked for again."""


class SeriesRead(NamedTuple):
    """One series of one entity: always read, recorded unless `value` is None.

    `value` is 1 for `count`, `first_seen` and `last_seen`; an amount >= 0 for `sum` (whole minor
    units); any whole number for `mean`, `min` and `max`; and for `distinct` the keyed tag of what
    is told apart. Amounts and their sums stay within 2**53 of 0.
    """

    plan: SeriesPlan
    value: int | str | None


class EntityObservation(NamedTuple):
    """One entity of the event (`kind`, keyed `tag`) with the series kept for it."""

    kind: str
    tag: str
    series: tuple[SeriesRead, ...]


class Observation(NamedTuple):
    """One event as the velocity stores see it; `observed_ms` is Unix time in milliseconds."""

    event_tag: str
    observed_ms: int
    entities: tuple[EntityObservation, ...]
