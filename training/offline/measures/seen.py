"""How long ago was an entity first and last seen?

First seen goes back through records that follow each other within the retention; a longer pause
makes the entity new. Invariant: one record an entity is enough to go on from (`remembered`).
"""

from __future__ import annotations

import numpy as np

from training.offline.lookup import Asked, Ints, Past
from training.offline.measures.answer import Answer


def first_seen(past: Past, asked: Asked, retention_ms: int) -> list[Answer]:
    """Give the seconds since the first record of the chain that is still going on."""
    return _since(_chain_starts(past, retention_ms), past, asked, retention_ms)


def last_seen(past: Past, asked: Asked, retention_ms: int) -> list[Answer]:
    """Give the seconds since the last record."""
    return _since(past.times, past, asked, retention_ms)


def remembered(past: Past, retention_ms: int) -> Past:
    """Give the last record of each entity, with the beginning of its chain as value."""
    is_last = np.append(past.entities[1:] != past.entities[:-1], np.ones(min(len(past), 1), bool))
    chained = Past(past.entities, past.times, _chain_starts(past, retention_ms))
    return chained.taken(is_last)


def _since(since: Ints, past: Past, asked: Asked, retention_ms: int) -> list[Answer]:
    if not len(past):
        return [Answer(np.zeros(len(asked)), np.zeros(len(asked), bool))]
    place = np.maximum(asked.before - 1, 0)
    is_known = (asked.before > asked.starts) & (past.times[place] > asked.times - retention_ms)
    return [Answer((asked.times - since[place]) / 1000, is_known)]


def _chain_starts(past: Past, retention_ms: int) -> Ints:
    """Give for each record the time at which its chain began.

    A record that was kept from an earlier chunk carries that time as its value; all others carry
    -1 and begin with their own time.
    """
    began = np.where(past.values < 0, past.times, past.values)
    is_new = np.ones(len(past), bool)
    is_new[1:] = (past.entities[1:] != past.entities[:-1]) | (
        past.times[1:] - past.times[:-1] >= retention_ms
    )
    places = np.maximum.accumulate(np.where(is_new, np.arange(len(past)), 0))
    return began[places]
