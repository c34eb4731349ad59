"""How is an event decided? Know, assemble, score, evaluate, settle, record, answer.

The main path of Touchstone, in one file. Invariants: no record, no reply; a part that fails is
named in `degraded` and never breaks the decision; one `event_id` has one answer, counted once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from features.catalog import Catalog
from features.entities import entities_of
from features.event import Event
from features.fields import Value, fields_of
from features.geo import GeoTable
from features.money import CurrencyTable
from features.observe import Asked, ask
from features.tags import Tagger
from features.vector import assemble
from rules.decision import Decision, Reason
from rules.engine import Engine
from rules.policy import Policy, settle
from rules.reasons import Reasons, reasons_for
from service.accepted import Accepted
from service.answer import event_answer, score_answer
from service.clock import Clock, epoch_ms, monotonic
from service.devices import Devices
from service.idempotency import Once
from service.know import Knowledge
from service.ledger.writer import LedgerWriter
from service.metrics import Metrics
from service.record import draft_of, learned_of
from service.scorer import Scorer

log = logging.getLogger(__name__)

MODEL_GAP = "model"

# The record always gets a chance: this long at least, even if the steps before it were slow.
MIN_RECORD_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Brain:
    """Everything that decides; each part is immutable and named by its version."""

    catalog: Catalog
    tagger: Tagger
    currencies: CurrencyTable
    engine: Engine
    policy: Policy
    reasons: Reasons
    scorer: Scorer | None
    geo: GeoTable
    versions: Mapping[str, str | None]


class Decider:
    """Decides events (`decide`) and learns from those that need no decision (`learn`)."""

    def __init__(
        self,
        brain: Brain,
        knowledge: Knowledge,
        devices: Devices,
        ledger: LedgerWriter,
        once: Once,
        clock: Clock,
        budget_seconds: float,
        metrics: Metrics,
    ) -> None:
        self._brain = brain
        self._knowledge = knowledge
        self._devices = devices
        self._ledger = ledger
        self._once = once
        self._clock = clock
        self._budget_seconds = budget_seconds
        self._metrics = metrics

    async def decide(self, event: Event, started: float) -> bytes:
        """Return the recorded answer to the event as JSON (`service.api.answers.ScoreAnswer`).

        `started` is the monotonic time in seconds at which the request came in. Raises
        `EventConflict`, `RecordUnavailable` and `LedgerUnavailable`; everything else that fails
        is named in the answer's `degraded`.
        """
        accepted = self._accept("score", event, started)
        return await self._once.answer(
            accepted.event_tag, accepted.body_tag, event.occurred_at, lambda: self._decide(accepted)
        )

    async def learn(self, event: Event, started: float) -> bytes:
        """Count and record the event without a decision (`service.api.answers.EventAnswer`).

        Raises as `decide` does.
        """
        accepted = self._accept("event", event, started)
        return await self._once.answer(
            accepted.event_tag, accepted.body_tag, event.occurred_at, lambda: self._learn(accepted)
        )

    async def _decide(self, accepted: Accepted) -> bytes:
        brain = self._brain
        event, fields = await self._stated(accepted)
        tags = entities_of(event, brain.tagger)
        asked = self._asked(accepted, tags, fields)
        values, gaps, withheld = await self._knowledge.know(asked, tags)
        facts = assemble(
            event,
            values,
            brain.catalog,
            brain.currencies,
            fields=fields,
            geo=brain.geo,
            withheld=withheld,
        )
        row = facts.row()
        score = self._probability(row, event.type, gaps)
        hits = brain.engine.evaluate(event.type, facts.values, accepted.observed_at)
        decision = settle(brain.policy, event.type, score, hits, gaps)
        reasons = self._reasons(decision, row, event.type)
        entry_id = os.urandom(16)
        answer = score_answer(entry_id, accepted, score, decision, reasons, brain.versions)
        outcome = decision.outcome.value
        learned = learned_of(asked, outcome, tags, fields, facts)
        draft = draft_of("decision", entry_id, accepted, answer, learned, brain.versions)
        await self._ledger.append(draft, timeout_s=self._time_left(accepted))
        if asked.on_outcome:
            await self._knowledge.count_outcome(asked, outcome)
        self._metrics.decided(event.type, decision, monotonic() - accepted.started)
        return orjson.dumps(answer)

    async def _learn(self, accepted: Accepted) -> bytes:
        brain = self._brain
        event, fields = await self._stated(accepted)
        tags = entities_of(event, brain.tagger)
        asked = self._asked(accepted, tags, fields)
        gaps = (await self._knowledge.count(asked)).gaps
        entry_id = os.urandom(16)
        answer = event_answer(entry_id, accepted, gaps)
        learned = learned_of(asked, None, tags, fields, None)
        draft = draft_of("event", entry_id, accepted, answer, learned, brain.versions)
        await self._ledger.append(draft, timeout_s=self._time_left(accepted))
        self._metrics.learned(accepted.event.type)
        return orjson.dumps(answer)

    def _accept(self, purpose: str, event: Event, started: float) -> Accepted:
        tagger = self._brain.tagger
        return Accepted(
            event=event,
            event_tag=tagger.tag("event", event.event_id),
            body_tag=tagger.tag("body", purpose + event.model_dump_json()),
            observed_at=self._clock.observe(event.occurred_at),
            started=started,
            deadline=started + self._budget_seconds,
        )

    async def _stated(self, accepted: Accepted) -> tuple[Event, dict[str, Value]]:
        """Return the event and its fields; a fingerprint may stand in for a missing device id."""
        event = accepted.event
        fields = fields_of(event, self._brain.currencies)
        if event.device is not None and event.device.fingerprint is not None:
            at_ms = epoch_ms(accepted.observed_at)
            event, seen = await self._devices.read(event, accepted.event_tag, at_ms)
            fields.update(seen)
        return event, fields

    def _asked(
        self, accepted: Accepted, tags: Mapping[str, str], fields: Mapping[str, Value]
    ) -> Asked:
        brain = self._brain
        plan = brain.catalog.plan(accepted.event.type)
        at_ms = epoch_ms(accepted.observed_at)
        return ask(plan, tags, fields, brain.tagger, accepted.event_tag, at_ms)

    def _probability(self, row: Sequence[float], event_type: str, gaps: list[str]) -> float | None:
        """Return the calibrated probability of abuse; a model that fails is a gap."""
        if self._brain.scorer is not None:
            try:
                return self._brain.scorer.score(row, event_type)
            except Exception:  # whatever a model does, the decision goes on without it
                log.exception("the model failed")
        gaps.append(MODEL_GAP)
        return None

    def _reasons(
        self, decision: Decision, row: Sequence[float], event_type: str
    ) -> Sequence[Reason]:
        """Return up to four reasons; the model is asked only when its score is a cause."""
        causes: Sequence[tuple[str, float]] = ()
        scorer = self._brain.scorer
        if decision.is_explained_by_model and scorer is not None:
            try:
                causes = scorer.explain(row, event_type)
            except Exception:  # an explanation is never worth the decision
                log.exception("the model could not be explained")
        return reasons_for(decision, causes, self._brain.reasons)

    def _time_left(self, accepted: Accepted) -> float:
        return max(accepted.deadline - monotonic(), MIN_RECORD_SECONDS)
