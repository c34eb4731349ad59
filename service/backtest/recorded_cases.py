"""Which cases does the ledger hold? What the service decided, from exactly what it knew then.

Facts are those of the record; what it could not know because nobody asked yet (a series or a list
that only one of the rule sets uses) is found out as of that time. Invariant: nothing that was known
later reaches a case, but its label, which no rule sees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from features.fields import Value
from rules.listed import Listed
from service.backtest.case import Case
from service.backtest.fresh_series import FreshSeries
from service.history.decisions import RecordedDecision, decision_of
from service.history.money import amount_of
from service.history.ordered import EVENT_ENTRIES, OrderedEntries, Skipped, Span
from service.labels.store import known_labels
from service.lists.history import ListsAt

_MIDDLE = """
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY observed) FROM ledger_entry
WHERE type = 'decision' AND observed BETWEEN $1 AND $2
"""
_COUNT = """
SELECT count(*) FROM ledger_entry WHERE type = ANY($3::text[]) AND observed BETWEEN $1 AND $2
"""


class RecordedCases:
    """The decisions of one log as cases.

    `entries` and `beside` are asyncpg connections of its own; the second is for labels. With
    `fresh`, all history that its series need is read first.
    """

    def __init__(
        self,
        entries: OrderedEntries,
        beside: Any,
        labels_as_of: datetime,
        *,
        fresh: FreshSeries | None = None,
        listed: Sequence[Listed] = (),
        lists: ListsAt | None = None,
    ) -> None:
        """`lists` must know the lists of `listed`."""
        self._entries = entries
        self._beside = beside
        self._labels_as_of = labels_as_of
        self._fresh = fresh
        self._listed = {one.fact: one for one in listed} if lists is not None else {}
        self._lists = lists

    @property
    def skipped(self) -> Skipped:
        """How many entries gave no case so far, and why."""
        return self._entries.skipped

    def read_span(self, span: Span) -> tuple[Span, Sequence[str]]:
        """Return which entries are read for the decisions of a span: those before it, too?"""
        if self._fresh is None or span.since_ms is None:
            return span, EVENT_ENTRIES if self._fresh is not None else ("decision",)
        return Span(self._fresh.warm_up_ms(span.since_ms), span.until_ms), EVENT_ENTRIES

    async def cases(self, span: Span) -> AsyncIterator[tuple[int, list[Case]]]:
        """Yield how many entries were read, and the cases among them, oldest first.

        Raises `WrongKek` and what asyncpg raises.
        """
        wider, types = self.read_span(span)
        async for page in self._entries.pages(wider, types):
            decisions: list[tuple[RecordedDecision, Mapping[str, Value]]] = []
            for opened in page:
                facts = opened.event.facts
                if self._fresh is not None:
                    facts = self._fresh.facts_of(opened.event)
                if not span.holds(opened.place.observed_ms):
                    continue
                decision = decision_of(opened)
                if decision is not None:
                    decisions.append((decision, facts))
                elif opened.answer is None:
                    self.skipped.note("expired")
            yield len(page), await self._labelled(decisions)

    async def _labelled(
        self, decisions: list[tuple[RecordedDecision, Mapping[str, Value]]]
    ) -> list[Case]:
        if not decisions:
            return []
        tags = [decision.event.event_tag for decision, _ in decisions]
        labels = await known_labels(self._beside, tags, self._labels_as_of)
        cases = []
        for decision, facts in decisions:
            event = decision.event
            label = labels.get(event.event_tag)
            cases.append(
                Case(
                    name=decision.entry_id.hex(),
                    event_type=str(event.fields["event.type"]),
                    observed_ms=event.observed_ms,
                    facts=self._with_lists(facts, event.tags, event.observed_ms),
                    score=decision.score,
                    gaps=decision.gaps,
                    amount=amount_of(event),
                    label=None if label is None else label.label,
                    recorded=decision,
                )
            )
        return cases

    def _with_lists(
        self, facts: Mapping[str, Value], tags: Mapping[str, str], at_ms: int
    ) -> Mapping[str, Value]:
        """Return the facts with those of lists that were not asked about then."""
        missing = [one for fact, one in self._listed.items() if fact not in facts]
        if not missing or self._lists is None:
            return facts
        return {**facts, **self._lists.facts(missing, tags, at_ms)}


async def middle_ms(connection: Any, span: Span) -> int | None:
    """Return a whole second in milliseconds with about as many decisions before it as after."""
    middle = await connection.fetchval(_MIDDLE, *span.seconds())
    return None if middle is None else int(middle.timestamp()) * 1000


async def count_read(connection: Any, span: Span, types: Sequence[str]) -> int:
    """Return how many entries of these types a span has, within a second."""
    return int(await connection.fetchval(_COUNT, *span.seconds(), list(types)))
