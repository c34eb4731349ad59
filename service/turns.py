"""How does long work in a worker leave the turn to decisions?

Invariant: between two turns at most `each` items are done, so a decision waits for those only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
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
