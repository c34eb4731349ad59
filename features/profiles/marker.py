"""Which materialisation is the complete one? The marker in the online store says so.

It is one JSON value, written after the last row of a materialisation.
Invariant: rows of a materialisation that no marker names are never read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from features.profiles.schema import PROJECT

MARKER_KEY = f"{PROJECT}:profiles:current"


@dataclass(frozen=True, slots=True)
class Marker:
    """One complete materialisation.

    - `generation`: name of the build; part of the key of each of its rows.
    - `as_of_ms`: its profiles say what was observed before this time.
    - `rows`: view -> number of profiles.
    """

    generation: str
    as_of_ms: int
    rows: dict[str, int]

    def dumps(self) -> bytes:
        """Return the marker as it stands in the store."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def loads(cls, text: bytes) -> Marker:
        """Read a marker; raises ValueError for anything else."""
        try:
            values = json.loads(text)
            return cls(str(values["generation"]), int(values["as_of_ms"]), dict(values["rows"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no marker of a materialisation: {error}") from None


def age_seconds(marker: Marker, now_ms: int) -> float:
    """Return how old a materialisation is; below 0 when it is later than now."""
    return (now_ms - marker.as_of_ms) / 1000


def is_stale(marker: Marker, now_ms: int, max_age_seconds: float) -> bool:
    """Say whether its values may not be offered at this time.

    >>> built = Marker("b1", 1_000_000, {})
    >>> [is_stale(built, now, 60.0) for now in (999_999, 1_000_000, 1_060_000, 1_060_001)]
    [True, False, False, True]
    """
    return not 0 <= age_seconds(marker, now_ms) <= max_age_seconds
