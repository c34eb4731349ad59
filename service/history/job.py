"""What is known of a restoration that may be cut short at any moment?

A text in Valkey beside the shadows, `ts:{know}:job`, written after every chunk. Invariant: it never
says more than what is in the shadows, so what comes after it may be done again; it is gone before
they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from service.history.opened import Place
from service.history.reader import Mark
from service.store_state import StoreStates

JOB_KEY = "ts:{know}:job"
JOB_IDLE_MS = 23 * 3_600_000  # shadows are kept for 24 h without use


class Job(NamedTuple):
    """One restoration.

    - `guard`: what every marker shows as long as the store is not lost again.
    - `takes_over`: the store was lost, and its life begins with the end of this job.
    - `mark`: how far history is in the shadows; perhaps one chunk further, up to `upto_ms` at most.
    - `is_read`: all history up to `upto_ms`, the cut, is in the shadows; they are being merged.
    - `erasures`: a number that grows when a person is erased, as it was when the job began.
    - `missed`: events that the counters lacked before that; they have them after it.
    """

    kind: str
    catalog: str
    series: tuple[str, ...]
    guard: str
    takes_over: bool
    started_ms: int
    mark: Mark | None = None
    upto_ms: int = 0
    is_read: bool = False
    missed: int = 0
    events: int = 0
    writes: int = 0
    erased: int = 0
    unreadable: int = 0
    erasures: int = 0

    def is_same_work(self, kind: str, catalog: str, series: tuple[str, ...]) -> bool:
        """Whether going on with this job does what is asked for."""
        return (self.kind, self.catalog, self.series) == (kind, catalog, series)


async def save_job(states: StoreStates, job: Job) -> None:
    """Note how far the job came."""
    content: dict[str, Any] = job._asdict()
    if job.mark is not None:
        (observed_ms, writer, seq), position = job.mark
        content["mark"] = [observed_ms, writer.hex(), seq, position]
    await states.call(("SET", JOB_KEY, orjson.dumps(content), "PX", JOB_IDLE_MS))


async def load_job(states: StoreStates) -> Job | None:
    """Return the job that was begun, if there is one that this release can go on with."""
    [text] = await states.call(("GET", JOB_KEY))
    if text is None:
        return None
    try:
        content = orjson.loads(bytes(text))
        if content["mark"] is not None:
            observed_ms, writer, seq, position = content["mark"]
            content["mark"] = Mark(Place(observed_ms, bytes.fromhex(writer), seq), position)
        content["series"] = tuple(content["series"])
        return Job(**content)
    except (ValueError, TypeError, KeyError):
        return None


async def forget_job(states: StoreStates) -> None:
    """There is no job any more."""
    await states.call(("DEL", JOB_KEY))
