"""How is an event decided? Know, assemble, score, evaluate, settle, record, answer.

The main path of Touchstone, in one file. Invariants: no record, no reply; a part that fails is
named in `degraded` and never breaks the decision; one `event_id` has one answer, counted once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

import orjson

from features.entities import entities_of
from features.event import Event
from features.fields import Value, fields_of
from features.observe import Asked, ask
from features.vector import assemble
from rules.decision import Decision, Reason
from rules.human_review import needs_human
from rules.policy import settle
from rules.reasons import Reasons, reasons_for
from service.accepted import Accepted
from service.answer import event_answer, score_answer
from service.audit.blind_index import BlindIndex, month_of
from service.brain import Brain
from service.clock import Clock, epoch_ms, monotonic
from service.devices import Devices
from service.idempotency import Once
from service.know import Knowledge
from service.ledger.writer import LedgerWriter
from service.lists.membership import Lists
from service.metrics import Metrics
from service.record import draft_of, learned_of
from service.shadow.queue import ShadowQueue, ShadowTask

log = logging.getLogger(__name__)

MODEL_GAP = "model"

# The record always gets a chance: this long at least, even if the steps before it were slow.
MIN_RECORD_SECONDS = 0.02


class Decider:
    """Decides events (`decide`) and learns from those that need no decision (`learn`)."""

    def __init__(  # noqa: PLR0913 - a part for each step
        self,
        brain: Brain,
        knowledge: Knowledge,
        devices: Devices,
        ledger: LedgerWriter,
        once: Once,
        clock: Clock,
        budget_seconds: float,
        metrics: Metrics,
        lists: Lists,
        shadow: ShadowQueue,
        index: BlindIndex,
    ) -> None:
        self._brain = brain
        self._knowledge = knowledge
        self._devices = devices
        self._ledger = ledger
        self._once = once
        self._clock = clock
        self._budget_seconds = budget_seconds
        self._metrics = metrics
        self._lists = lists
        self._shadow = shadow
        self._index = index

    @property
    def brain(self) -> Brain:
        """What decides the next event."""
        return self._brain

    def use(self, brain: Brain) -> None:
        """Decide with this from the next event on; events under way end as they began."""
        self._brain = brain

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
        event, fields = await self._stated(accepted, brain)
        tags = entities_of(event, brain.tagger)
        asked = _asked(accepted, brain, tags, fields)
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
        ruling = brain.ruling_for(tags)
        listed = ruling.engine.listed
        if listed:
            at_ms = asked.observation.observed_ms
            facts.values.update(self._lists.facts(listed, tags, at_ms))
        facts.values.update(self._lists.flags(tags, asked.observation.observed_ms))
        row = facts.row()
        score = _probability(brain, row, event.type, gaps)
        hits = ruling.engine.evaluate(event.type, facts.values, accepted.observed_at)
        decision = settle(
            ruling.policy, event.type, score, brain.effective(hits), gaps,
            needs_human=needs_human(facts.values),
        )  # fmt: skip
        reasons = _reasons(brain, ruling.reasons, decision, row, event.type)
        entry_id = os.urandom(16)
        versions = brain.versions(ruling)
        answer = score_answer(entry_id, accepted, score, decision, reasons, versions)
        outcome = decision.outcome.value
        learned = learned_of(asked, outcome, tags, fields, facts)
        terms = self._index.terms(tags, month_of(accepted.observed_at))
        draft = draft_of("decision", entry_id, accepted, answer, learned, versions, terms)
        await self._ledger.append(draft, timeout_s=self._time_left(accepted))
        if asked.on_outcome:
            await self._knowledge.count_outcome(asked, outcome)
        self._metrics.decided(event.type, decision, monotonic() - accepted.started)
        if brain.shadows:
            self._shadow.offer(
                ShadowTask(
                    brain, entry_id, accepted.observed_at, event.type, tags, facts.values, score,
                    tuple(gaps), decision,
                )
            )  # fmt: skip
        return orjson.dumps(answer)

    async def _learn(self, accepted: Accepted) -> bytes:
        brain = self._brain
        event, fields = await self._stated(accepted, brain)
        tags = entities_of(event, brain.tagger)
        asked = _asked(accepted, brain, tags, fields)
        gaps = (await self._knowledge.count(asked)).gaps
        entry_id = os.urandom(16)
        answer = event_answer(entry_id, accepted, gaps)
        learned = learned_of(asked, None, tags, fields, None)
        versions = brain.versions(brain.ruling_for(tags))
        terms = self._index.terms(tags, month_of(accepted.observed_at))
        draft = draft_of("event", entry_id, accepted, answer, learned, versions, terms)
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

    async def _stated(self, accepted: Accepted, brain: Brain) -> tuple[Event, dict[str, Value]]:
        """Return the event and its fields; a fingerprint may stand in for a missing device id."""
        event = accepted.event
        fields = fields_of(event, brain.currencies)
        if event.device is not None and event.device.fingerprint is not None:
            at_ms = epoch_ms(accepted.observed_at)
            event, seen = await self._devices.read(event, accepted.event_tag, at_ms)
            fields.update(seen)
        return event, fields

    def _time_left(self, accepted: Accepted) -> float:
        return max(accepted.deadline - monotonic(), MIN_RECORD_SECONDS)


def _asked(
    accepted: Accepted, brain: Brain, tags: Mapping[str, str], fields: Mapping[str, Value]
) -> Asked:
    plan = brain.catalog.plan(accepted.event.type)
    at_ms = epoch_ms(accepted.observed_at)
    return ask(plan, tags, fields, brain.tagger, accepted.event_tag, at_ms)


def _probability(
    brain: Brain, row: Sequence[float], event_type: str, gaps: list[str]
) -> float | None:
    """Return the calibrated probability of abuse; a model that fails is a gap."""
    if brain.scorer is not None:
        try:
            return brain.scorer.score(row, event_type)
        except Exception:  # whatever a model does, the decision goes on without it
            log.exception("the model failed")
    gaps.append(MODEL_GAP)
    return None


def _reasons(
    brain: Brain, reasons: Reasons, decision: Decision, row: Sequence[float], event_type: str
) -> Sequence[Reason]:
    """Return up to four reasons; the model is asked only when its score is a cause."""
    causes: Sequence[tuple[str, float]] = ()
    if decision.is_explained_by_model and brain.scorer is not None:
        try:
            causes = brain.scorer.explain(row, event_type)
        except Exception:  # an explanation is never worth the decision
            log.exception("the model could not be explained")
    return reasons_for(decision, causes, reasons)
