"""How does long work in a worker leave the turn to decisions?

Invariant: between two turns at most `each` items are done, so a decision waits for those only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
# Items of some microseconds each: a turn is below a millisecond.
EACH = 100


async def in_turns(items: Iterable[Item], each: int = EACH) -> AsyncIterator[Item]:
    """Yield the items one by one; after every `each` of them whatever else waits goes first."""
    for count, item in enumerate(items, 1):
        yield item
        if count % each == 0:
            await asyncio.sleep(0)


def in_parts(items: Sequence[Item], each: int = 1_000) -> Iterator[Sequence[Item]]:
    """Yield the items in parts: what a database is sent at a time takes a few milliseconds.

    >>> [list(part) for part in in_parts([1, 2, 3], 2)]
    [[1, 2], [3]]
    """
    for start in range(0, len(items), each):
        yield items[start : start + each]
