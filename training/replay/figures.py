"""What came of a replay: for each type, for each rule, for honest and for abusive events?

Figures only add up what the service answered. Where labels exist, abusive events that got any
outcome but `approve` are caught; where none exist, everybody counts as honest, which is what the
unlabelled sets are for. A rule that only watches (shadow, or stopped) catches nobody and alarms
nobody: its hits are counted apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.labelled import Labelled
from training.metrics import auc, recall_at_fpr
from training.replay.client import Reply

OUTCOMES = ("approve", "challenge", "review", "decline")
LIVE = "live"  # the only mode of a hit that has an effect


@dataclass(slots=True)
class TypeFigures:
    """One event type."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def latency_ms(self, percentile: float) -> float:
        """Return a percentile of the client's latency."""
        return float(np.percentile(self.seconds, percentile)) * 1000 if self.seconds else 0.0


@dataclass(slots=True)
class Side:
    """Events and people of one side, honest or abusive, that something concerned."""

    events: int = 0
    people: set[str] = field(default_factory=set)

    def add(self, person: str | None) -> None:
        """Count an event, and its person where it has one."""
        self.events += 1
        if person is not None:
            self.people.add(person)


class Figures:
    """Adds up replies; `as_json` is the report."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.types: dict[str, TypeFigures] = defaultdict(TypeFigures)
        self.rules: dict[str, tuple[Side, Side]] = defaultdict(lambda: (Side(), Side()))
        self.watching: dict[str, tuple[Side, Side]] = defaultdict(lambda: (Side(), Side()))
        self.total = (Side(), Side())
        self.stopped = (Side(), Side())
        self.caught_by_scenario: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.degraded: Counter[str] = Counter()
        self.is_labelled = False
        self._scores: list[float] = []
        self._labels: list[int] = []

    def add(self, item: Labelled, reply: Reply) -> None:
        """Add one event and its answer."""
        answer = reply.body
        of_type = self.types[item.event["type"]]
        outcome = answer["outcome"]
        of_type.outcomes[outcome] += 1
        of_type.seconds.append(reply.seconds)
        of_type.reasons.update(reason["code"] for reason in answer["reasons"])
        self.degraded.update(answer["degraded"])
        person = (item.event.get("user") or item.event.get("merchant") or {}).get("id")
        side = 1 if item.label else 0
        self.total[side].add(person)
        if outcome != "approve":
            self.stopped[side].add(person)
        for hit in answer["rule_hits"]:
            if hit["status"] == "hit":
                rules = self.rules if hit["mode"] == LIVE else self.watching
                rules[hit["rule_id"]][side].add(person)
        if item.label is not None:
            self.is_labelled = True
            self._scored(item, answer)

    def _scored(self, item: Labelled, answer: dict[str, Any]) -> None:
        if item.label:
            counts = self.caught_by_scenario[item.scenario]
            counts[0] += 1
            counts[1] += answer["outcome"] != "approve"
        # No model learns from offers and settlements: what it says of them is no measure of it.
        if answer["score"] is not None and "merchant" not in item.event:
            self._scores.append(answer["score"])
            self._labels.append(int(bool(item.label)))

    @property
    def events(self) -> int:
        """How many events were answered."""
        return self.total[0].events + self.total[1].events

    def honest_people(self) -> set[str]:
        """Return everybody with an honest event; whoever was attacked is one of them."""
        return self.total[0].people

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        honest = self.honest_people()
        labels, scores = np.array(self._labels, dtype=float), np.array(self._scores)
        report: dict[str, Any] = {
            "source": self.source,
            "events": self.events,
            "labelled": self.is_labelled,
            "types": {name: _type_json(row) for name, row in sorted(self.types.items())},
            "honest": self._side_json(0, honest),
            "rules": self._rules_json(self.rules, honest),
            "rules_without_effect": self._rules_json(self.watching, honest),
            "degraded": dict(self.degraded),
        }
        if self.is_labelled:
            report["abusive"] = self._side_json(1, self.total[1].people)
            report["caught_by_scenario"] = {
                name: {"events": count, "caught": caught}
                for name, (count, caught) in sorted(self.caught_by_scenario.items())
            }
            report["score"] = {
                "auc": _number(auc(labels, scores)),
                "recall_at_1pct_fpr": _number(recall_at_fpr(labels, scores)),
            }
        return report

    def _rules_json(
        self, rules: dict[str, tuple[Side, Side]], honest: set[str]
    ) -> dict[str, dict[str, Any]]:
        return {
            rule: {
                "honest_events": good.events,
                "honest_event_share": _share(good.events, self.total[0].events),
                "honest_people": len(good.people & honest),
                "honest_people_share": _share(len(good.people & honest), len(honest)),
                **({"abusive_events": bad.events} if self.is_labelled else {}),
            }
            for rule, (good, bad) in sorted(rules.items())
        }

    def _side_json(self, side: int, people: set[str]) -> dict[str, Any]:
        stopped = self.stopped[side]
        return {
            "events": self.total[side].events,
            "stopped": stopped.events,
            "stopped_share": _share(stopped.events, self.total[side].events),
            "people": len(people),
            "people_stopped": len(stopped.people & people),
            "people_stopped_share": _share(len(stopped.people & people), len(people)),
        }


def _type_json(row: TypeFigures) -> dict[str, Any]:
    return {
        "events": len(row.seconds),
        "outcomes": {name: row.outcomes[name] for name in OUTCOMES if row.outcomes[name]},
        "reasons": dict(row.reasons.most_common()),
        "p50_ms": round(row.latency_ms(50), 3),
        "p99_ms": round(row.latency_ms(99), 3),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
