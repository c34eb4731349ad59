"""Who waits for which entry?

Invariant: every caller is told once, by the batch that took its entry or by its own clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from service.ledger.entry import EntryDraft
from service.ledger.errors import DuplicateEvent, LedgerError, LedgerUnavailable
from service.ledger.row import SealedEntry

log = logging.getLogger(__name__)


class Queued(NamedTuple):
    """A draft and its caller, who waits until `deadline` (seconds of the loop's clock)."""

    draft: EntryDraft
    future: asyncio.Future[None]
    deadline: float


class Waiting(NamedTuple):
    """The same once the draft is sealed."""

    entry: SealedEntry
    future: asyncio.Future[None]
    deadline: float


class Repeat(NamedTuple):
    """A caller with the same event as another entry of the same batch."""

    waiting: Queued
    first: Waiting


def take_batch(
    queue: deque[Queued], most: int, seal: Callable[[EntryDraft], SealedEntry]
) -> tuple[list[Waiting], list[Repeat]]:
    """Take and seal the drafts whose callers still wait; a repeat waits for the first of its kind.

    Ordered by event key, so that two writers which store the same events cannot deadlock. Sealed
    here, one after the other, because that takes a third of the time it takes between other work.
    A draft that cannot be sealed fails its caller.
    """
    batch: list[Waiting] = []
    repeats: list[Repeat] = []
    first_of: dict[bytes, Waiting] = {}
    while queue and len(batch) < most:
        queued = queue.popleft()
        if queued.future.done():
            continue
        key = queued.draft.event_key
        if key is not None and key in first_of:
            repeats.append(Repeat(queued, first_of[key]))
            continue
        try:
            waiting = Waiting(seal(queued.draft), queued.future, queued.deadline)
        except LedgerError as error:
            tell(queued, error)
            continue
        except Exception as error:  # a bug fails its caller, not the writer
            log.exception("an entry could not be sealed")
            tell(queued, LedgerUnavailable(type(error).__name__))
            continue
        if key is not None:
            first_of[key] = waiting
        batch.append(waiting)
    batch.sort(key=lambda waiting: waiting.entry.event_key or b"")
    return batch, repeats


def tell(waiting: Waiting | Queued, error: Exception | None = None) -> None:
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
        tell(repeat.waiting, DuplicateEvent(repeat.waiting.draft.event_key or b""))


def give_up(future: asyncio.Future[None]) -> None:
    """Fail a caller whose time has run out."""
    if not future.done():
        future.set_exception(LedgerUnavailable("the entry was not durable in time"))
