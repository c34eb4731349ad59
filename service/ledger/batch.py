"""Who waits for which entry?

Invariant: every caller is told once, by the batch that took its entry or by its own clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from service.ledger.errors import DuplicateEvent, LedgerUnavailable
from service.ledger.row import SealedEntry


class Waiting(NamedTuple):
    """A sealed entry and its caller, who waits until `deadline` (seconds of the loop's clock)."""

    entry: SealedEntry
    future: asyncio.Future[None]
    deadline: float


class Repeat(NamedTuple):
    """A caller with the same event as another entry of the same batch."""

    waiting: Waiting
    first: Waiting


def take_batch(queue: deque[Waiting], most: int) -> tuple[list[Waiting], list[Repeat]]:
    """Take the entries whose callers still wait; a repeated event waits for the first of its kind.

    Ordered by event key, so that two writers which store the same events cannot deadlock.
    """
    batch: list[Waiting] = []
    repeats: list[Repeat] = []
    first_of: dict[bytes, Waiting] = {}
    while queue and len(batch) < most:
        waiting = queue.popleft()
        if waiting.future.done():
            continue
        key = waiting.entry.event_key
        if key is not None and (first := first_of.setdefault(key, waiting)) is not waiting:
            repeats.append(Repeat(waiting, first))
        else:
            batch.append(waiting)
    batch.sort(key=lambda waiting: waiting.entry.event_key or b"")
    return batch, repeats


def tell(waiting: Waiting, error: Exception | None = None) -> None:
    """Let the caller go on, or fail it; nothing happens when its time has run out."""
    if waiting.future.done():
        return
    if error is None:
        waiting.future.set_result(None)
    else:
        waiting.future.set_exception(error)


def tell_repeat(repeat: Repeat) -> None:
    """Tell the caller of a repeat what became of the first, whose batch is done."""
    future = repeat.first.future
    failed = not future.done() or future.cancelled() or future.exception() is not None
    if failed and not (
        future.done() and not future.cancelled() and isinstance(future.exception(), DuplicateEvent)
    ):
        tell(repeat.waiting, LedgerUnavailable("the same event was being recorded and failed"))
    else:
        tell(repeat.waiting, DuplicateEvent(repeat.waiting.entry.event_key or b""))


def give_up(future: asyncio.Future[None]) -> None:
    """Fail a caller whose time has run out."""
    if not future.done():
        future.set_exception(LedgerUnavailable("the entry was not durable in time"))
