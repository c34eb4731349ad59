"""How good are the decisions of each side, where it is known what events turned out to be?

At three levels of severity: an event is flagged when its outcome is at least that. Invariant: every
share comes with its 95 % interval, and none is given where nothing was counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rules.decision import Outcome
from service.evidence.intervals import paired_difference, wilson

OUTCOMES = tuple(outcome.value for outcome in Outcome)
NO_LABEL, HONEST_AT, ABUSE_AT = 0, 1, 2


def share(counted: int, of: int) -> dict[str, Any] | None:
    """Return a share with its interval; None of nothing.

    >>> share(0, 0) is None, share(5, 10)["value"]
    (True, 0.5)
    """
    if of <= 0:
        return None
    low, high = wilson(counted, of)
    return {
        "value": round(counted / of, 6),
        "low": round(low, 6),
        "high": round(high, 6),
        "count": counted,
        "of": of,
    }


def quality(table: Sequence[int]) -> list[dict[str, Any]] | None:
    """Return precision, recall and false-positive rate by level; None without labels.

    `table` is one of `service/backtest/tally.py`, of all events.
    """
    if not labelled(table):
        return None
    return [_level(table, level) for level in range(1, len(OUTCOMES))]


def labelled(table: Sequence[int]) -> int:
    """Return how many events of a table have a label."""
    return sum(count for cell, count in enumerate(table) if cell % 3 != NO_LABEL)


def _level(table: Sequence[int], level: int) -> dict[str, Any]:
    honest, abuse = _crossed(table, level, HONEST_AT), _crossed(table, level, ABUSE_AT)
    sides = {}
    for name, first in (("baseline", (0, 1)), ("candidate", (0, 2))):
        false_alarms = sum(honest[place] for place in first)
        caught = sum(abuse[place] for place in first)
        sides[name] = {
            "precision": share(caught, caught + false_alarms),
            "recall": share(caught, sum(abuse)),
            "false_positive_rate": share(false_alarms, sum(honest)),
        }
    return {
        "at_least": OUTCOMES[level],
        **sides,
        "change": {
            "recall": _change(abuse),
            "false_positive_rate": _change(honest),
        },
    }


def _change(crossed: Sequence[int]) -> dict[str, float] | None:
    """Return the candidate's share less the baseline's, of the same events."""
    both, baseline, candidate, neither = crossed
    n = sum(crossed)
    if not n:
        return None
    low, high = paired_difference(both, candidate, baseline, neither)
    value = (candidate - baseline) / n
    return {"value": round(value, 6), "low": round(low, 6), "high": round(high, 6)}


def _crossed(table: Sequence[int], level: int, label: int) -> tuple[int, int, int, int]:
    """Count events flagged by both, by the baseline only, by the candidate only, by neither."""
    counts = [0, 0, 0, 0]
    for baseline in range(4):
        for candidate in range(4):
            place = (0 if candidate >= level else 1) if baseline >= level else (
                2 if candidate >= level else 3
            )  # fmt: skip
            counts[place] += table[12 * baseline + 3 * candidate + label]
    return counts[0], counts[1], counts[2], counts[3]
