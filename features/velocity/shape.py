"""How several series are asked for in one function call, and what its reply means.

The one place that knows the wire format of plans and replies; `observe.lua` is its other half.
Invariant: a mean is one division of two whole numbers, here and in every other executor, so that
all agree to the last bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from features.velocity.observation import SeriesPlan
from features.velocity.store import VelocityUnavailable
from features.velocity.wire import Reply

Answer = dict[str, int | float]

_MEASURES = {
    "count": "c",
    "sum": "s",
    "mean": "m",
    "min": "n",
    "max": "x",
    "distinct": "d",
    "first_seen": "f",
    "last_seen": "l",
}
_HOW_MANY = " how many"  # no feature's name has a blank


class Shape(NamedTuple):
    """What every call with the same series plans has in common."""

    plans: tuple[SeriesPlan, ...]  # held, so that an id() never comes to mean another plan
    names: tuple[str, ...]
    text: str
    features: tuple[str, ...]
    seen: tuple[str, ...]
    means: tuple[tuple[str, str], ...]
    extremes: tuple[str, ...]

    def read_into(self, answer: Answer, reply: Reply) -> None:
        """Add what a reply says; raise `VelocityUnavailable` when it is none of our function."""
        try:
            answer.update(zip(self.features, reply, strict=True))
        except (TypeError, ValueError):
            raise VelocityUnavailable("protocol", "not an answer of our function") from None
        for name in self.seen:
            if answer[name] < 0:
                del answer[name]
            else:
                answer[name] /= 1000
        for name, how_many in self.means:
            if events := answer.pop(how_many):
                answer[name] /= events
            else:
                del answer[name]
        for name in self.extremes:
            if answer[name] is None:
                del answer[name]


def record_text(plan: SeriesPlan) -> str:
    """Give the text of a call that records in a series and reads nothing."""
    return f"|{_MEASURES[plan.measure]}{plan.retention_ms}"


def shape_of(plans: Sequence[SeriesPlan]) -> Shape:
    """Make the shape of a call that reads these series, in this order."""
    parts: list[str] = []
    features: list[str] = []
    seen: list[str] = []
    means: list[tuple[str, str]] = []
    extremes: list[str] = []
    for plan in plans:
        measure = _MEASURES[plan.measure]
        numbers = [plan.retention_ms]
        if measure in "fl":
            seen.append(plan.features[0])
            features.append(plan.features[0])
        else:
            for window_ms, name in sorted(zip(plan.windows_ms, plan.features, strict=True)):
                numbers.append(window_ms)
                if measure == "m":
                    features.append(name + _HOW_MANY)
                    means.append((name, name + _HOW_MANY))
                elif measure in "nx":
                    extremes.append(name)
                features.append(name)
        parts.append("|" + measure + ",".join(map(str, numbers)))
    text = "".join(parts)
    digest = hashlib.sha256((text + " ".join(features)).encode()).hexdigest()[:8]
    return Shape(
        tuple(plans),
        tuple(plan.name for plan in plans),
        digest + text,
        tuple(features),
        tuple(seen),
        tuple(means),
        tuple(extremes),
    )
