"""What can an operator see from outside?

Prometheus metrics; labels come from small closed sets (types, outcomes, codes, rule ids) and never
from an event's values. With several workers prometheus_client's multiprocess mode adds them up.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from rules.decision import Decision, HitStatus

# Seconds. Dense where decisions live (1-5 ms) up to the default budget of 150 ms.
LATENCY_BUCKETS = (0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.01, 0.02, 0.04, 0.08, 0.15, 0.5)


class Metrics:
    """The service's metrics, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.decisions = Counter(
            "touchstone_decisions",
            "Decisions made and recorded.",
            ["type", "outcome"],
            registry=registry,
        )
        self.events = Counter(
            "touchstone_events",
            "Events taken without a decision.",
            ["type"],
            registry=registry,
        )
        self.latency = Histogram(
            "touchstone_decision_seconds",
            "From acceptance of an event to its durable record.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.degraded = Counter(
            "touchstone_degraded",
            "Decisions made without something, by what was missing.",
            ["cause"],
            registry=registry,
        )
        self.rule_hits = Counter(
            "touchstone_rule_hits", "Rules that hit.", ["rule", "status"], registry=registry
        )
        self.problems = Counter(
            "touchstone_problems", "Requests refused, by problem code.", ["code"], registry=registry
        )
        self.spool_bytes = Gauge(
            "touchstone_spool_bytes",
            "Sealed entries that wait on local disk for PostgreSQL.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.tree_size = self._latest("touchstone_tree_size", "Entries placed in the tree.")
        self.queue_length = self._latest(
            "touchstone_tree_queue", "Recorded entries that wait for their place in the tree."
        )
        self.checkpoint_age = self._latest(
            "touchstone_checkpoint_age_seconds", "Age of the last signed checkpoint."
        )
        self.unsigned_seconds = self._latest(
            "touchstone_unsigned_seconds",
            "How long entries have waited for a checkpoint; 0 when all are covered.",
        )
        self.signer_refuses = self._latest(
            "touchstone_signer_refuses",
            "1 while the signer refuses to sign: the database contradicts what was signed.",
        )
        self.shadow_done = Counter(
            "touchstone_shadow_decisions",
            "Decisions that the rule sets in shadow were asked about.",
            registry=registry,
        )
        self.shadow_dropped = Counter(
            "touchstone_shadow_dropped",
            "Decisions that they were not asked about: the queue was full, or their process ended.",
            registry=registry,
        )
        self.shadow_errors = Counter(
            "touchstone_shadow_errors",
            "Times that a rule set in shadow failed on a decision.",
            registry=registry,
        )
        self._cells: dict[tuple[Counter, tuple[str, ...]], Counter] = {}

    def _latest(self, name: str, help_text: str) -> Gauge:
        """Return a gauge of something that all workers see alike."""
        return Gauge(name, help_text, registry=self._registry, multiprocess_mode="livemostrecent")

    def decided(self, event_type: str, decision: Decision, seconds: float) -> None:
        """Count a recorded decision that took `seconds` from acceptance."""
        self._cell(self.decisions, event_type, decision.outcome.value).inc()
        self.latency.observe(seconds)
        for hit in decision.hits:
            if hit.status is not HitStatus.NO_HIT:
                self._cell(self.rule_hits, hit.rule_id, hit.status.value).inc()
        for cause in decision.degraded:
            self._cell(self.degraded, cause).inc()

    def _cell(self, counter: Counter, *labels: str) -> Counter:
        """Return a counter's cell; finding it anew costs as much as ten dict look-ups."""
        cell = self._cells.get((counter, labels))
        if cell is None:  # the label sets are small and closed
            cell = self._cells[counter, labels] = counter.labels(*labels)
        return cell

    def learned(self, event_type: str) -> None:
        """Count an event that was taken without a decision."""
        self.events.labels(event_type).inc()

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format, of all workers together."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)
