"""What is the smallest and the largest value in a window?

A sparse table: the extreme of any range is that of two overlapping ranges of a power of two. Only
one level is in memory at a time; each answers the windows of its length.
"""

from __future__ import annotations

import numpy as np

from training.offline.lookup import Asked, Ints, Past, Windows
from training.offline.measures.answer import Answer


def smallest(past: Past, asked: Asked, windows_ms: tuple[int, ...]) -> list[Answer]:
    """Give the smallest value of each window; unknown where there is none."""
    return _extremes(np.minimum, past, asked, windows_ms)


def largest(past: Past, asked: Asked, windows_ms: tuple[int, ...]) -> list[Answer]:
    """Give the largest value of each window; unknown where there is none."""
    return _extremes(np.maximum, past, asked, windows_ms)


def _extremes(
    better: np.ufunc, past: Past, asked: Asked, windows_ms: tuple[int, ...]
) -> list[Answer]:
    windows = Windows(past, asked)
    starts = [windows.starts(window) for window in windows_ms]
    levels = [_level(asked.before - start) for start in starts]
    found = [np.zeros(len(asked), np.int64) for _ in windows_ms]
    highest = max((int(level.max(initial=-1)) for level in levels), default=-1)
    table = past.values
    for level in range(highest + 1):
        width = 1 << level
        for start, of_window, values in zip(starts, levels, found, strict=True):
            here = np.flatnonzero(of_window == level)
            values[here] = better(table[start[here]], table[asked.before[here] - width])
        table = better(table[:-width], table[width:])
    return [Answer(values, level >= 0) for values, level in zip(found, levels, strict=True)]


def _level(lengths: Ints) -> Ints:
    """Give the largest k with 2**k <= length; -1 for an empty range."""
    return (np.frexp(lengths)[1] - 1).astype(np.int64)
