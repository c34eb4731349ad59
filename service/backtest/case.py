"""What does a backtest decide again? One event with all that was known of it.

Invariant: a case holds what the service had when it decided, or would have had; no identifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from features.fields import Value
from service.history.decisions import RecordedDecision

ABUSE, HONEST = 1, 0


class Case(NamedTuple):
    """One event to decide.

    - `name`: what a person finds it by: the decision id in hex, or its place in a file.
    - `gaps`: what was missing (`velocity`, `profiles`); failed rules are not among them.
    - `amount`: base minor units, None for events about no money.
    - `label`: 1 abuse, 0 honest, None not known.
    - `recorded`: the decision that the service made of it, where it made one.
    """

    name: str
    event_type: str
    observed_ms: int
    facts: Mapping[str, Value]
    score: float | None = None
    gaps: tuple[str, ...] = ()
    amount: int | None = None
    label: int | None = None
    recorded: RecordedDecision | None = None
