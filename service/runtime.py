"""What does a running service hold, and how is each part?

Built by `service/bootstrap.py`, used by the routes. Nothing here decides anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypedDict

from features.collector.tokens import TokenKey
from features.velocity.connect import Connection
from features.velocity.store import VelocityUnavailable
from service.access import ApiKeys
from service.actions import Actions
from service.audit.exports.runner import Exports
from service.brain import Brain
from service.changes import Changes
from service.completeness import NO_GAP, Completeness
from service.counted import filled
from service.decider import Decider
from service.errors import RecordUnavailable
from service.evidence.performance_report import PerformanceQuestion, PerformanceReport
from service.evidence.reports import Reports
from service.evidence.rollout_report import RolloutQuestion, RolloutReport
from service.gate import Gate
from service.ledger.writer import LedgerWriter
from service.lists.membership import Lists
from service.live.deployed import Deployed
from service.metrics import Metrics
from service.rate import Rate
from service.record_watch import RecordWatch
from service.recorded import LedgerRecord
from service.rights.finishing import Rights
from service.rule_sets.examiner import Examiner
from service.settings import Settings
from service.shadow.queue import ShadowQueue

Performance = Reports[PerformanceQuestion, PerformanceReport]
Rollouts = Reports[RolloutQuestion, RolloutReport]

PING_SECONDS = 0.5
# An entry takes 2 to 4 KB; a spool with less room than this counts as full.
ENTRY_BYTES = 8192


class State(TypedDict):
    """One resource as `/readyz` shows it."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything that the routes need, alive until the app stops."""

    settings: Settings
    decider: Decider
    deployed: Deployed
    shadow: ShadowQueue
    changes: Changes
    actions: Actions
    examiner: Examiner
    api_keys: ApiKeys
    record: LedgerRecord
    ledger: LedgerWriter
    lists: Lists
    performance: Performance
    exports: Exports
    rollouts: Rollouts
    valkey: Connection
    completeness: Completeness
    gate: Gate
    token_key: TokenKey
    token_rate: Rate
    metrics: Metrics
    record_watch: RecordWatch
    rights: Rights

    @property
    def brain(self) -> Brain:
        """What decides the next event."""
        return self.decider.brain

    async def resources(self) -> dict[str, State]:
        """Ping every resource once; takes at most `PING_SECONDS`.

        `ledger` is ok while entries can be made durable, in PostgreSQL or in the spool; `record`
        while they are placed and signed in time, which no decision waits for.
        """
        velocity, postgres = await asyncio.gather(
            _pinged(self.valkey.ping(PING_SECONDS)), _pinged(self.record.ping())
        )
        if velocity["ok"] and self.completeness.gaps() is not NO_GAP:
            velocity = State(ok=False, detail=self.completeness.state)
        ledger = postgres
        if not postgres["ok"]:
            spooled = self.ledger.status().spooled_bytes
            ledger = State(
                ok=spooled + ENTRY_BYTES < self.settings.ledger.spool_max_bytes,
                detail=f"{postgres['detail']}; {spooled} bytes wait in the spool",
            )
        scorer = self.brain.scorer
        model = (
            State(ok=False, detail="no bundle: run `touchstone train`")
            if scorer is None
            else State(ok=True, detail=f"bundle {scorer.version[:16]}")
        )
        lists = (
            State(ok=True, detail=filled("{:# entry|# entries}", len(self.lists)))
            if self.lists.is_read
            else State(ok=False, detail="never read since the start: rules do not know them")
        )
        return {
            "lists": lists,
            "velocity": velocity,
            "ledger": ledger,
            "record": _record(self.record_watch),
            "model": model,
            "rules": self._rules(),
            "clock": State(
                ok=self.settings.clock == "system",
                detail=f"{self.settings.clock} clock",
            ),
        }

    def _rules(self) -> State:
        brain = self.brain
        parts = [f"rule set {brain.live.version[:16]}"]
        if brain.rollout is not None:
            share = f"{brain.rollout.share_bp / 100:g} %"
            parts.append(f"candidate {brain.rollout.ruling.version[:16]} for {share}")
        if brain.shadows:
            parts.append(f"{len(brain.shadows)} in shadow")
        if brain.stopped:
            parts.append(filled("{:# rule|# rules} stopped", len(brain.stopped)))
        problems = [
            *self.deployed.problems,
            *(f"shadow {v[:16]} is not asked: {why}" for v, why in self.shadow.failed.items()),
        ]
        return State(ok=not problems, detail="; ".join([*parts, *problems]))

    def observe_spool(self) -> None:
        """Bring the spool's gauge up to date."""
        self.metrics.spool_bytes.set(self.ledger.status().spooled_bytes)


def _record(watch: RecordWatch) -> State:
    ok, detail = watch.state()
    return State(ok=ok, detail=detail)


async def _pinged(ping: Awaitable[None]) -> State:
    try:
        await ping
    except (VelocityUnavailable, RecordUnavailable) as error:
        return State(ok=False, detail=str(error))
    return State(ok=True, detail="answers")
