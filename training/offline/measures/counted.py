"""How many events, how much in sum and on average, in a window?

A window is the difference of two places in the past, or of two running totals.
"""

from __future__ import annotations

import numpy as np

from training.offline.lookup import Asked, Ints, Past, Windows
from training.offline.measures.answer import Answer


def count(past: Past, asked: Asked, windows_ms: tuple[int, ...]) -> list[Answer]:
    """Count the events of each window."""
    windows = Windows(past, asked)
    return [Answer(asked.before - windows.starts(window)) for window in windows_ms]


def total(past: Past, asked: Asked, windows_ms: tuple[int, ...]) -> list[Answer]:
    """Add up the values of each window."""
    windows, totals = Windows(past, asked), _totals(past)
    return [Answer(totals[asked.before] - totals[windows.starts(window)]) for window in windows_ms]


def mean(past: Past, asked: Asked, windows_ms: tuple[int, ...]) -> list[Answer]:
    """Divide the sum of each window by its count; unknown where there is none."""
    windows, totals = Windows(past, asked), _totals(past)
    answers = []
    for window in windows_ms:
        starts = windows.starts(window)
        counted = asked.before - starts
        summed = totals[asked.before] - totals[starts]
        answers.append(Answer(summed / np.maximum(counted, 1), counted > 0))
    return answers


def _totals(past: Past) -> Ints:
    # Running totals may wrap round at 2**63; their differences do not, as no window holds so much.
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(past.values)))
