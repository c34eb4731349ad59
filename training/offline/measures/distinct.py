"""How many different values are in a window?

As an event follows another, its window gains records at the end and loses some at the beginning. A
record counts when it is gained while no equal one is inside, and is given back when it is lost
while no equal one is left: two comparisons a record and a running sum, exact for any window.
"""

from __future__ import annotations

import numpy as np

from features.velocity.store import MOST_VALUES
from training.offline.lookup import Asked, Ints, Past, Windows
from training.offline.measures.answer import Answer


def distinct(past: Past, asked: Asked, windows_ms: tuple[int, ...]) -> list[Answer]:
    """Count the different values of each window; as in the store, `MOST_VALUES` and no more."""
    windows = Windows(past, asked)
    earlier, later = neighbours(past)
    return [
        Answer(np.minimum(_in_ranges(earlier, later, windows.starts(window), asked), MOST_VALUES))
        for window in windows_ms
    ]


def neighbours(past: Past) -> tuple[Ints, Ints]:
    """Give the places of the record before and after each with the same value at the same entity.

    -1 and the number of records stand for none.
    """
    size = len(past)
    order = np.lexsort((past.values, past.entities))  # stable: equal ones stay in their order
    entities, values = past.entities[order], past.values[order]
    follows = np.flatnonzero((entities[1:] == entities[:-1]) & (values[1:] == values[:-1]))
    earlier, later = np.full(size, -1), np.full(size, size)
    earlier[order[follows + 1]] = order[follows]
    later[order[follows]] = order[follows + 1]
    return earlier, later


def _in_ranges(earlier: Ints, later: Ints, starts: Ints, asked: Asked) -> Ints:
    """Count the different values between `starts` and `asked.before`.

    Windows are walked forwards. Where clocks ran backwards, an event's window may begin before
    that of the event before it; such events are left for another walk.
    """
    counts = np.zeros(len(asked), np.int64)
    left = np.arange(len(asked))
    while len(left):
        begins = starts[left]
        is_forward = begins == np.maximum.accumulate(begins)
        walk = left[is_forward]
        counts[walk] = _walked(earlier, later, starts[walk], asked.before[walk])
        left = left[~is_forward]
    return counts


def _walked(earlier: Ints, later: Ints, begins: Ints, ends: Ints) -> Ints:
    """Count the different values in each of some ranges whose begins and ends never decrease."""
    size, steps = len(earlier), len(ends)
    # The step that gains each record is the first whose end lies behind it; the step that loses
    # it, the first whose beginning does.
    gained_at = np.cumsum(np.bincount(ends, minlength=size + 1))[:size]
    lost_at = np.cumsum(np.bincount(begins, minlength=size + 1))[:size]
    begin_when_gained = np.concatenate((np.zeros(1, np.int64), begins))[gained_at]
    end_when_lost = np.append(ends, -1)[lost_at]
    gains = gained_at[earlier < begin_when_gained]
    losses = lost_at[later >= end_when_lost]
    change = np.bincount(gains, minlength=steps + 1) - np.bincount(losses, minlength=steps + 1)
    return np.cumsum(change[:steps])
