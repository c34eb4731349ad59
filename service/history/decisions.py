"""What was decided, and from what?

Recorded decisions with all that they were made from, in the order in which the events were
accepted. Invariant: what is given is what was sealed; what cannot be read is counted, not guessed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from features.history import HistoryEvent
from service.history.opened import Opened, Place
from service.history.ordered import OrderedEntries, Skipped, Span
from service.ledger.keys import Keyring

RULE_GAP = "rule:"

_COUNT = """
SELECT count(*) FROM ledger_entry WHERE type = 'decision' AND observed BETWEEN $1 AND $2
"""


class RecordedHit(NamedTuple):
    """A rule's recorded result, other than `no_hit`; the texts are those of `rules.decision`."""

    rule_id: str
    status: str
    outcome: str
    mode: str


class RecordedDecision(NamedTuple):
    """One decision as it was recorded.

    - `event`: tags, fields, facts, outcome and times; its position is 0.
    - `rule_set`: the version that decided, empty in entries of early releases.
    - `versions`: everything that the entry names (`rule_set`, `bundle`, `catalog`, `policy`,
      `code`).
    """

    place: Place
    entry_id: bytes
    event: HistoryEvent
    score: float | None
    degraded: tuple[str, ...]
    hits: tuple[RecordedHit, ...]
    rule_set: str
    versions: Mapping[str, str]

    @property
    def gaps(self) -> tuple[str, ...]:
        """What was missing when it was decided; failed rules, which `degraded` names, are not."""
        return tuple(gap for gap in self.degraded if not gap.startswith(RULE_GAP))


class DecisionReader:
    """The decisions of one log. `connection` is an asyncpg connection of its own."""

    def __init__(self, connection: Any, ring: Keyring, log: str) -> None:
        self._connection = connection
        self._entries = OrderedEntries(connection, ring, log)

    @property
    def skipped(self) -> Skipped:
        """How many entries gave no decision so far, and why."""
        return self._entries.skipped

    async def count(self, span: Span) -> int:
        """Return how many decisions a span has, within a second, with those to be skipped."""
        return int(await self._connection.fetchval(_COUNT, *span.seconds()))

    async def pages(self, span: Span) -> AsyncIterator[list[RecordedDecision]]:
        """Yield the decisions of a span, oldest first; `skipped` grows along the way.

        Pages differ in length and none is empty; memory does not grow with the span. Raises
        `WrongKek` and what asyncpg raises.
        """
        async for found in self._entries.pages(span, ("decision",)):
            if decisions := self._decisions(found):
                yield decisions

    async def of_events(self, event_tags: Sequence[str]) -> list[RecordedDecision]:
        """Return the decisions about some events, in no order; `skipped` grows. Raises as `pages`.

        A thousand events at a time are held together.
        """
        return self._decisions(await self._entries.of_events(event_tags, ("decision",)))

    def _decisions(self, found: Sequence[Opened]) -> list[RecordedDecision]:
        decisions = []
        for opened in found:
            decision = decision_of(opened)
            if decision is None:
                self.skipped.note("expired")
            else:
                decisions.append(decision)
        return decisions


def decision_of(opened: Opened) -> RecordedDecision | None:
    """Return the decision that an entry tells; None when it tells none (any more)."""
    answer = opened.answer
    if answer is None or "outcome" not in answer:
        return None
    return RecordedDecision(
        place=opened.place,
        entry_id=opened.entry_id,
        event=opened.event,
        score=answer["score"],
        degraded=tuple(answer["degraded"]),
        hits=tuple(
            RecordedHit(hit["rule_id"], hit["status"], hit["outcome"], hit["mode"])
            for hit in answer["rule_hits"]
        ),
        rule_set=opened.versions.get("rule_set", ""),
        versions=opened.versions,
    )
