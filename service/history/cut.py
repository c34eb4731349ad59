"""Up to which moment does history speak, and from which on the live records?

A record belongs to history when its event was accepted up to the cut; the store keeps the times of
records, in the order of their arrival. Two events of one entity a few milliseconds apart may arrive
in the other order, and the one before the cut would stand behind it. So the cut lies in the longest
pause of the last seconds. Invariant: every event up to a cut is durable; a cut is never before an
earlier one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise

from service.completeness import now_ms
from service.history.reader import LedgerHistory, Span

# A request has its budget to become durable; clocks of several machines differ by less than this.
SETTLE_MS = 1_000
# A pause is looked for in a time of this length.
LOOK_MS = (1_000, 3_000)


async def choose_cut(history: LedgerHistory, budget_ms: int, floor_ms: int) -> int:
    """Return a moment after `floor_ms`, in the longest pause of the last seconds that are settled.

    Waits until there is one.
    """
    least_ms, most_ms = LOOK_MS
    unsettled_ms = budget_ms + SETTLE_MS
    await asyncio.sleep(max(0, floor_ms + least_ms + unsettled_ms - now_ms()) / 1000)
    until = max(now_ms() - unsettled_ms, floor_ms)
    since = max(floor_ms, until - most_ms)
    times = [
        event.observed_ms
        async for page in history.pages(Span(since, until))
        for event in page.events
    ]
    return middle_of_longest_pause([since, *times, until])


def middle_of_longest_pause(times: Iterable[int]) -> int:
    """Give the middle of the longest pause between ascending times, of the last one of several.

    >>> middle_of_longest_pause([0, 100, 2000, 2100])
    1050
    """
    length, begin = max((later - one, one) for one, later in pairwise(times))
    return begin + length // 2
