"""What does a source of events yield?

Simulator and adapters give the same thing: the event as a caller would send it, and beside it,
never inside of it, what is known about it.
Invariant: a source yields in the order of `occurred_at`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]
"""A JSON object, ready for `json.dumps`."""


class Labelled(NamedTuple):
    """One event with its ground truth."""

    event: Json
    label: int | None
    """1 abusive, 0 honest, None where the source does not know."""
    scenario: str
    """The story it belongs to, such as `coupon_farm`; a data set's name where there is none."""
