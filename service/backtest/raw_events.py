"""Which cases does a file of raw events make? JSON lines, bodies as the API takes them.

Each goes through the service's own code: parsed, asked of a velocity store in this process,
assembled, scored. Invariant: a case is what a service with an event clock and an empty past would
have known, had the baseline decided; what such a service looks up elsewhere (profiles, lists,
fingerprint tokens) is unknown here.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from features.catalog import Catalog
from features.entities import entities_of
from features.event import InvalidEvent, parse_event
from features.fields import fields_of
from features.geo import GeoTable
from features.money import CurrencyTable
from features.observe import Asked, ask
from features.tags import MASTER_KEY_BYTES, Tagger, derive_tag_keys
from features.vector import assemble
from features.velocity.memory_store import MemoryVelocityStore
from service.backtest.case import Case
from service.backtest.errors import DataUnusable
from service.clock import epoch_ms
from service.history.money import amount_in
from service.scorer import Scorer


class RawEvents:
    """The cases of one file, in its order. `decided` must be told each outcome of the baseline."""

    def __init__(
        self,
        path: Path,
        catalog: Catalog,
        currencies: CurrencyTable,
        scorer: Scorer | None,
        geo: GeoTable | None = None,
    ) -> None:
        self._path = path
        self._catalog = catalog
        self._currencies = currencies
        self._scorer = scorer
        self._geo = geo
        # Tags never leave this process and features only compare them: any key gives equal facts.
        self._tagger = Tagger(derive_tag_keys(bytes(MASTER_KEY_BYTES)))
        self._store = MemoryVelocityStore()
        self._latest_ms = 0
        self._asked: Asked | None = None

    def cases(self) -> Iterator[Case]:
        """Yield one case at a time. Raises `DataUnusable`, with the line of what is no event."""
        try:
            is_packed = self._path.suffix == ".gz"
            with gzip.open(self._path) if is_packed else self._path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if text := line.strip():
                        yield self._case(number, text)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataUnusable(f"{self._path} cannot be read: {reason}") from None

    def decided(self, outcome: str) -> None:
        """Record what the outcome of the last case leaves in the counters."""
        later = None if self._asked is None else self._asked.recorded_by(outcome)
        if later is not None:
            self._store.observe_now(later)

    def _case(self, number: int, text: bytes) -> Case:
        try:
            event = parse_event(text, self._currencies)
        except InvalidEvent as error:
            first = error.problems[0]
            raise DataUnusable(
                f"{self._path}, line {number}: {first.pointer or '/'}: {first.detail}"
            ) from None
        self._latest_ms = max(self._latest_ms, epoch_ms(event.occurred_at))
        fields = fields_of(event, self._currencies)
        tags = entities_of(event, self._tagger)
        event_tag = self._tagger.tag("event", event.event_id)
        plan = self._catalog.plan(event.type)
        self._asked = ask(plan, tags, fields, self._tagger, event_tag, self._latest_ms)
        knowledge = self._store.observe_now(self._asked.observation)
        facts = assemble(
            event, knowledge, self._catalog, self._currencies, fields=fields, geo=self._geo
        )
        score = None if self._scorer is None else self._scorer.score(facts.row(), event.type)
        return Case(
            name=f"line {number}",
            event_type=event.type,
            observed_ms=self._latest_ms,
            facts=facts.values,
            score=score,
            amount=amount_in(fields),
        )
